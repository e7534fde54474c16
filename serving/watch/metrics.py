import os
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from backend import __version__
from serving.process.supervisor import MULTIPROCESS_FOLDER

if TYPE_CHECKING:
    from serving.data.database import Database

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BREAKER_STATES = ("closed", "open", "half_open")

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SLOW = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0)


class Metrics:
    """The service's Prometheus metrics, in a registry of their own.

    With several workers each process writes its figures into files of a shared folder
    (PROMETHEUS_MULTIPROC_DIR, set by the supervisor), and any of them can answer for all.
    """

    def __init__(self, revision: str) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "http_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "http_request_duration_seconds",
            "Time from the request's header to the end of the response.",
            ["method", "route"],
            buckets=_FAST,
            registry=registry,
        )
        self.in_flight = self._gauge("http_requests_in_flight", "Requests being answered.")
        self.pool = self._gauge(
            "database_pool_connections",
            "Connections of the pool: in use, idle, and how many of them are overflow.",
            "state",
        )
        self.pool_wait_seconds = Histogram(
            "database_pool_wait_seconds",
            "Time a request waited for a database connection.",
            buckets=_FAST,
            registry=registry,
        )
        self.breaker = self._gauge(
            "ai_circuit_breaker_state", "1 for the state the breaker is in.", "state"
        )
        self.ai_calls = Counter(
            "ai_calls", "Calls of the AI service, by outcome.", ["outcome"], registry=registry
        )
        self.ai_seconds = Histogram(
            "ai_call_duration_seconds",
            "Time of a call with its retries.",
            buckets=_SLOW,
            registry=registry,
        )
        self.ai_reachable = self._gauge(
            "ai_reachable", "Whether the AI service answered the last probe."
        )
        self.sockets = self._gauge("websocket_connections", "Open WebSockets.")
        self.socket_closes = Counter(
            "websocket_closes", "WebSockets closed by the service.", ["code"], registry=registry
        )
        self.feed_reconnects = Counter(
            "feed_reconnects", "Lost LISTEN connections.", registry=registry
        )
        self._gauge("build_info", "What runs.", "version", "revision", mode="max").labels(
            __version__, revision
        ).set(1)
        self._by_route: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request. The labelled children are kept: finding them is slow."""
        key = (method, route, status)
        children = self._by_route.get(key)
        if children is None:
            children = self._by_route[key] = (
                self.requests.labels(method, route, str(status)),
                self.request_seconds.labels(method, route),
            )
        children[0].inc()
        children[1].observe(seconds)

    def set_breaker(self, state: str) -> None:
        """Note the circuit breaker's state."""
        for name in BREAKER_STATES:
            self.breaker.labels(name).set(name == state)

    def observe_pool(self, database: "Database") -> None:
        """Note how many connections there are."""
        pool = database.pool
        self.pool.labels("in_use").set(pool.checkedout())
        self.pool.labels("idle").set(pool.checkedin())
        self.pool.labels("overflow").set(max(0, pool.overflow()))

    def expose(self) -> bytes:
        """Everything in Prometheus' text format 0.0.4."""
        if MULTIPROCESS_FOLDER in os.environ:
            from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry)
        return generate_latest(self.registry)

    def _gauge(self, name: str, about: str, *labels: str, mode: str = "livesum") -> Gauge:
        return Gauge(name, about, labels, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]
