"""The gate around an application: limits, security headers, one log line and figures a request."""

import asyncio
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from serving.watch.lifecycle import Lifecycle
from serving.watch.logs import REQUEST_ID, AccessLog
from serving.watch.metrics import RequestMetrics
from serving.watch.spans import Request, Tracer
from serving.web.problems import Problem, Problems
from serving.web.settings import WebSettings

type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type App = Callable[[Message, Receive, Send], Awaitable[None]]

REQUEST_ID_FIELD = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# W3C Trace Context, level 1, section 3.2: version, trace-id, parent-id, flags.
TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
PROBES = ("/health/", "/metrics")

SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
CLOSE = (b"connection", b"close")
# What nginx logs for a client that went away before its response; nobody receives it.
CLIENT_GONE = 499

logger = logging.getLogger(__name__)


class _Mark:
    """What the gate reads from a request's header."""

    __slots__ = ("has_body", "length", "request_id", "trace", "trace_id")

    def __init__(self, scope: Message) -> None:
        self.has_body = False
        self.length: int | None = None
        self.trace_id: str | None = None
        self.trace: dict[str, str] = {}
        request_id: bytes | None = None
        for name, value in scope["headers"]:
            if name == b"content-length":
                self.length = int(value)
                self.has_body = True
            elif name == b"transfer-encoding":
                self.has_body = True
            elif name == b"x-request-id" and REQUEST_ID_FIELD.fullmatch(value):
                request_id = value
            elif name == b"traceparent" and (match := TRACEPARENT.fullmatch(value)):
                self.trace_id = match[1].decode()
                self.trace["traceparent"] = value.decode()
            elif name == b"tracestate":
                self.trace["tracestate"] = value.decode("latin-1")
        self.request_id = request_id or os.urandom(8).hex().encode()


class Gate:
    """The outermost application: limits what comes in, and marks, logs and counts what goes out.

    It is one plain ASGI application because everything here is on every request's path.
    """

    def __init__(
        self,
        app: App,
        *,
        settings: WebSettings,
        lifecycle: Lifecycle,
        metrics: RequestMetrics,
        log: AccessLog,
        problems: Problems,
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._app = app
        self._settings = settings
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._log = log
        self._problems = problems
        self._in_flight = metrics.in_flight

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one connection's scope; only HTTP requests are looked at."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        mark = _Mark(scope)
        extra = [*SECURITY_HEADERS, (b"x-request-id", mark.request_id)]
        if self._lifecycle.draining:
            extra.append(CLOSE)
        status = 0

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                own = {name for name, _ in headers}
                message["headers"] = [*headers, *(pair for pair in extra if pair[0] not in own)]
            await send(message)

        traced: Request | None = None
        if self._tracer is not None and not scope["path"].startswith(PROBES):
            traced = self._tracer.begin(mark.trace, scope["path"])
            mark.trace_id = traced.trace_id
        self._in_flight.inc()
        token = REQUEST_ID.set(mark.request_id.decode())
        try:
            problem = self._refusal(scope, mark.length)
            if problem is not None:
                # The body stays unread, so the connection cannot carry another request.
                extra.append(CLOSE)
                scope["problem"] = problem.slug
                await self._problems.respond(problem)(scope, receive, marked)
                return
            if mark.has_body:
                receive = self._limited(receive)
            await self._app(scope, receive, marked)
        except Exception:
            # Starlette raises again what it has answered with a 500.
            logger.exception("unhandled error")
            if status != HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
        finally:
            REQUEST_ID.reset(token)
            self._in_flight.dec()
            seconds = time.perf_counter() - began
            method, template = self._note(scope, mark, status or CLIENT_GONE, seconds)
            if traced is not None:
                traced.end(method, template, status or CLIENT_GONE)

    def _note(self, scope: Message, mark: _Mark, status: int, seconds: float) -> tuple[str, str]:
        """Count and log the request; its method and route, neither of them a client's word."""
        route = scope.get("route")
        template = "unmatched" if route is None else route.path
        # A method is the client's word: one that the route does not have (Starlette names a route
        # for a 405 too) must not become a new time series.
        method = "any" if route is None else scope["method"]
        if (known := getattr(route, "methods", None)) is not None and method not in known:
            method = "any"
        self._metrics.observe(method, template, status, seconds)
        if not self._log.enabled or (
            self._log.skips_probes and status == HTTPStatus.OK and template.startswith(PROBES)
        ):
            return method, template
        fields = {
            "method": scope["method"],
            "route": template,
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
            "request_id": mark.request_id.decode(),
            "principal": scope.get("principal"),
        }
        if "problem" in scope:
            fields["problem"] = scope["problem"]
        if mark.trace_id is not None:
            fields["trace_id"] = mark.trace_id
        self._log.write(fields)
        return method, template

    def _refusal(self, scope: Message, length: int | None) -> Problem | None:
        target = len(scope["raw_path"]) + len(scope["query_string"])
        if target > self._settings.url_max_bytes:
            return Problem(
                414,
                "url-too-long",
                f"got a path and query of {target} bytes; at most "
                f"{self._settings.url_max_bytes} are taken",
            )
        if length is not None and length > self._settings.request_max_bytes:
            return self._too_large()
        return None

    def _too_large(self) -> Problem:
        return Problem(
            413,
            "body-too-large",
            f"the body is larger than {self._settings.request_max_bytes} bytes",
            headers={"Connection": "close"},
        )

    def _limited(self, receive: Receive) -> Receive:
        """Receive with a limit on the body's size, for chunked ones too, and on its time."""
        deadline = asyncio.get_running_loop().time() + self._settings.body_timeout
        limit = self._settings.request_max_bytes
        size = 0
        complete = False

        async def limited() -> Message:
            nonlocal size, complete
            if complete:
                # What follows the body is the wait for a disconnect, which has no limit.
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError as error:
                raise Problem(
                    408,
                    "body-too-slow",
                    f"the body did not arrive within {self._settings.body_timeout:g} seconds",
                    headers={"Connection": "close"},
                ) from error
            size += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if size > limit:
                raise self._too_large()
            return message

        return limited
