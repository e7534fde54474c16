"""The metrics of requests, and of what runs."""

from prometheus_client import Counter, Histogram

from serving.watch.registry import Registry


class RequestMetrics:
    """Counts requests and how long they took, by route template."""

    def __init__(self, registry: Registry) -> None:
        self._requests = registry.counter(
            "http_requests", "Requests answered.", "method", "route", "status"
        )
        self._seconds = registry.histogram(
            "http_request_duration_seconds",
            "Time from the request's header to the end of the response.",
            "method",
            "route",
        )
        self.in_flight = registry.gauge("http_requests_in_flight", "Requests being answered.")
        self._by_route: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request. The labelled children are kept: finding them is slow."""
        key = (method, route, status)
        children = self._by_route.get(key)
        if children is None:
            children = self._by_route[key] = (
                self._requests.labels(method, route, str(status)),
                self._seconds.labels(method, route),
            )
        children[0].inc()
        children[1].observe(seconds)


def tell_build(registry: Registry, *, version: str, revision: str) -> None:
    """Say what runs, as the labels of a metric that is always 1."""
    build = registry.gauge("build_info", "What runs.", "version", "revision", mode="max")
    build.labels(version, revision).set(1)
