"""The client of another service over HTTP, which bounds what a call may cost.

Whatever that service does, a caller gets a result or an `UpstreamFailure` within the total time
limit.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from circuitbreaker import STATE_HALF_OPEN

from serving.upstream.breaker import Breaker
from serving.upstream.errors import UpstreamFailure
from serving.upstream.limits import Limits
from serving.upstream.metrics import UpstreamMetrics
from serving.watch.health import Watched
from serving.watch.spans import UNTRACED, Tracer

if TYPE_CHECKING:
    import httpx

BACKOFF_SECONDS = 0.1
# A longer Retry-After is passed on to our own client instead of being waited for.
PATIENCE_SECONDS = 2.0
PROBE_DELAY_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Peer:
    """The service that is called.

    Attributes:
        name: in health reports.
        base_url: of its API; `None` when there is none, and then nothing may be called.
        headers: that each request has.
        probe_path: what is asked for to see whether it can be reached.
        credentials: gives the headers with secrets, which may change; asked for each request.
    """

    name: str
    base_url: str | None
    headers: Mapping[str, str]
    probe_path: str
    credentials: Callable[[], Mapping[str, str]] = dict


class UpstreamClient:
    """Calls a service, and keeps an eye on whether it can be reached.

    Args:
        peer: the service.
        limits: what calls may take.
        metrics: of the calls.
        failure: the class of failures to raise, which names the service to our own clients.
        tracer: told of each attempt, which tells the service of the trace.
    """

    def __init__(
        self,
        peer: Peer,
        limits: Limits,
        metrics: UpstreamMetrics,
        failure: type[UpstreamFailure],
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._peer = peer
        self._limits = limits
        self._metrics = metrics
        self._failure = failure
        self._client: httpx.AsyncClient | None = None
        self._slots = asyncio.Semaphore(limits.max_concurrency)
        self._trial = asyncio.Lock()
        self._breaker = Breaker(
            failure_threshold=limits.breaker_failures,
            recovery_timeout=limits.breaker_recovery,
            expected_exception=_trips,
            name=peer.name,
        )
        self.is_configured = peer.base_url is not None
        self.watched = Watched(peer.name, "unknown" if self.is_configured else "disabled")
        self._monitor: asyncio.Task[None] | None = None
        self.observe()

    def start(self) -> None:
        """Begin to watch the service in the background."""
        if self.is_configured:
            self._monitor = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop watching and close the connections."""
        if self._monitor is not None:
            self._monitor.cancel()
            await asyncio.gather(self._monitor, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    @property
    def breaker_state(self) -> str:
        """`closed`, `open` or `half_open`."""
        return str(self._breaker.state)

    def observe(self) -> None:
        """Bring the breaker's gauge up to date: time alone changes it."""
        self._metrics.set_breaker(self.breaker_state)

    async def post[Answer](
        self, path: str, body: dict[str, Any], parse: Callable[[bytes], Answer]
    ) -> Answer:
        """Post JSON and parse the answer's body, which has to come with status 200.

        Args:
            path: below the base URL.
            body: what is sent, as JSON.
            parse: makes the result; it may raise a failure of its own.

        Raises:
            UpstreamFailure: of the class that this client was given.
        """
        began = time.perf_counter()
        outcome = "ok"
        deadline = asyncio.get_running_loop().time() + self._limits.total_timeout
        try:
            async with self._slot():
                return await self._with_retries(path, body, parse, deadline)
        except UpstreamFailure as failure:
            outcome = failure.outcome
            raise
        finally:
            self._metrics.calls.labels(outcome).inc()
            self._metrics.seconds.observe(time.perf_counter() - began)
            self.observe()

    @contextlib.asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """One of the calls that may run at the same time (a bulkhead)."""
        try:
            async with asyncio.timeout(min(self._limits.queue_timeout, self._limits.total_timeout)):
                await self._slots.acquire()
        except TimeoutError:
            raise self._failure("busy", 503, "has all the calls it may have") from None
        try:
            yield
        finally:
            self._slots.release()

    async def _with_retries[Answer](
        self, path: str, body: dict[str, Any], parse: Callable[[bytes], Answer], deadline: float
    ) -> Answer:
        attempt = 0
        while True:
            try:
                return await self._through_breaker(path, body, parse, deadline)
            except UpstreamFailure as failure:
                wait = failure.retry_after or BACKOFF_SECONDS * 2**attempt
                # Full jitter on top, so that clients which failed together do not return together.
                pause = wait * random.uniform(1, 2)  # noqa: S311
                if (
                    failure.was_processed
                    or attempt == self._limits.retries
                    or wait > PATIENCE_SECONDS
                    or asyncio.get_running_loop().time() + pause >= deadline
                ):
                    raise
                await asyncio.sleep(pause)
                attempt += 1

    async def _through_breaker[Answer](
        self, path: str, body: dict[str, Any], parse: Callable[[bytes], Answer], deadline: float
    ) -> Answer:
        breaker = self._breaker
        if breaker.opened or (breaker.state == STATE_HALF_OPEN and self._trial.locked()):
            raise self._failure(
                "circuit-open",
                503,
                "has failed too often and is left alone for a while",
                trips=False,
                retry_after=max(1, breaker.open_remaining),
            )
        if breaker.state == STATE_HALF_OPEN:
            async with self._trial:
                return await self._attempt_counted(path, body, parse, deadline)
        return await self._attempt_counted(path, body, parse, deadline)

    async def _attempt_counted[Answer](
        self, path: str, body: dict[str, Any], parse: Callable[[bytes], Answer], deadline: float
    ) -> Answer:
        # The limit of time lies within the breaker: a service that drips has failed too.
        with self._breaker:
            try:
                async with asyncio.timeout_at(deadline):
                    return parse(await self._attempt(path, body))
            except TimeoutError:
                raise self._failure("timeout", 504, "did not answer in time") from None

    def _span(self) -> AbstractContextManager[object]:
        if self._tracer is None:
            return UNTRACED
        return self._tracer.inside(f"POST {self._peer.name}", {"http.request.method": "POST"})

    async def _attempt(self, path: str, body: dict[str, Any]) -> bytes:
        import httpx  # noqa: PLC0415  (importing it takes longer than all the rest of this module)

        client = self._connected()
        try:
            with self._span():
                headers = dict(self._peer.credentials())
                if self._tracer is not None:
                    headers |= self._tracer.headers()
                async with client.stream("POST", path, json=body, headers=headers) as response:
                    self._check_status(response)
                    return await self._read(response)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._failure(
                "unreachable", 503, "cannot be reached", was_processed=False
            ) from error
        except httpx.PoolTimeout as error:
            raise self._failure(
                "busy", 503, "has no free connection", was_processed=False
            ) from error
        except httpx.TimeoutException as error:
            raise self._failure("timeout", 504, "did not answer in time") from error
        except httpx.HTTPError as error:
            raise self._failure("broken-answer", 502, "broke off its answer") from error

    def _check_status(self, response: "httpx.Response") -> None:
        status = response.status_code
        if status == 200:  # noqa: PLR2004
            return
        retry_after = _retry_after(response.headers.get("retry-after"))
        if status == 429:  # noqa: PLR2004
            raise self._failure(
                "rate-limited",
                503,
                "has had too many requests",
                was_processed=False,
                trips=False,
                retry_after=retry_after,
            )
        if status == 503:  # noqa: PLR2004
            raise self._failure(
                "unavailable",
                503,
                "is unavailable",
                was_processed=False,
                retry_after=retry_after,
            )
        raise self._failure(
            "error-status", 502, f"answered with status {status}", retry_after=retry_after
        )

    async def _read(self, response: "httpx.Response") -> bytes:
        limit = self._limits.max_response_bytes
        if response.headers.get("content-encoding", "identity") != "identity":
            raise self._failure(
                "broken-answer", 502, "compressed its answer without being asked to"
            )
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > limit:
                raise self._failure("too-large", 502, f"answered with more than {limit} bytes")
        return bytes(body)

    def _connected(self) -> "httpx.AsyncClient":
        if self._client is None:
            import ssl  # noqa: PLC0415

            import httpx  # noqa: PLC0415

            limits = self._limits
            self._client = httpx.AsyncClient(
                base_url=f"{self._peer.base_url}/",
                headers={"Accept-Encoding": "identity", **self._peer.headers},
                timeout=httpx.Timeout(
                    connect=limits.connect_timeout,
                    read=limits.read_timeout,
                    write=limits.read_timeout,
                    pool=limits.queue_timeout,
                ),
                limits=httpx.Limits(
                    # One more than calls: the probe has to get through when all are busy.
                    max_connections=limits.max_concurrency + 1,
                    max_keepalive_connections=limits.max_concurrency,
                ),
                # The system's certificates, which a site may have added its own to.
                verify=ssl.create_default_context(),
                trust_env=False,
            )
        return self._client

    async def _watch(self) -> None:
        # The first requests come first: httpx is imported in a thread and after them.
        await asyncio.sleep(PROBE_DELAY_SECONDS)
        await asyncio.to_thread(__import__, "httpx")
        while True:
            await self._probe()
            pause = self._limits.probe_interval * random.uniform(0.9, 1.1)  # noqa: S311
            await asyncio.sleep(pause)

    async def _probe(self) -> None:
        import httpx  # noqa: PLC0415

        began = time.perf_counter()
        try:
            async with (
                asyncio.timeout(self._limits.connect_timeout + 3),
                self._connected().stream(
                    "GET", self._peer.probe_path, headers=self._peer.credentials()
                ) as response,
            ):
                refused = response.status_code in {401, 403} or response.status_code >= 500  # noqa: PLR2004
        except (httpx.HTTPError, TimeoutError, OSError):
            self.watched.set("unavailable")
        else:
            self.watched.set("degraded" if refused else "ok", time.perf_counter() - began)
        self._metrics.reachable.set(self.watched.status == "ok")


def _trips(_: type[BaseException], value: BaseException | None) -> bool:
    return isinstance(value, UpstreamFailure) and value.trips


def _retry_after(header: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, is not worth a clock comparison."""
    if header is None or not (header.isascii() and header.isdigit()):
        return None
    return min(float(header[:6]), 3600.0)
