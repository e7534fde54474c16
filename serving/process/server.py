"""uvicorn as the server of one process, with an orderly end."""

import contextlib
import dataclasses
import logging
import os
import socket
import time
from collections.abc import Iterator, Sequence
from types import FrameType

import uvicorn

from serving.process.connection import Clock, Limits, RefusalMetrics, Surroundings
from serving.process.descriptors import connections_within_limit
from serving.process.http import http_protocol, websocket_protocol
from serving.process.settings import ConnectionSettings, ProcessSettings
from serving.process.supervisor import BACKLOG
from serving.watch.lifecycle import Lifecycle
from serving.web.application import Application, LongLived
from serving.web.gate import PROBES
from serving.web.settings import WebSettings

CLOSE_SOCKETS_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn's server with an orderly end.

    After SIGTERM or SIGINT: unready at once; requests are still served for DRAIN_SECONDS, so that
    load balancers can notice; long-lived connections are closed; requests in flight have
    GRACE_SECONDS; exit code 0. A second signal ends the process at once.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        lifecycle: Lifecycle,
        long_lived: Sequence[LongLived],
        drain_seconds: float,
    ) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._long_lived = long_lived
        self._drain_seconds = drain_seconds
        self._drain_until: float | None = None
        self._sockets_until: float | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals, without raising them again afterwards."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(super().capture_signals())
            stack.callback(self._captured_signals.clear)
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Begin to drain; the second time, end at once."""
        if self._lifecycle.draining:
            os._exit(128 + sig)
        self._lifecycle.draining = True
        self._drain_until = time.monotonic() + self._drain_seconds

    async def on_tick(self, counter: int) -> bool:
        """Take the next step of the end, when it is time."""
        now = time.monotonic()
        if self._sockets_until is not None:
            self.should_exit = not self._open() or now >= self._sockets_until
        elif self._drain_until is not None and now >= self._drain_until:
            logger.info("drained; closing")
            for one in self._long_lived:
                one.close()
            self._sockets_until = now + CLOSE_SOCKETS_SECONDS
            self.should_exit = not self._open()
        return await super().on_tick(counter)

    def _open(self) -> int:
        return sum(one.open for one in self._long_lived)


def run(
    app: Application,
    process: ProcessSettings,
    connections: ConnectionSettings,
    web: WebSettings,
    listener: socket.socket,
) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT, then finish what was begun."""
    limits = Limits.of(connections, web)
    held = connections_within_limit(limits.max_connections)
    limits = dataclasses.replace(limits, max_connections=held)
    surroundings = Surroundings(
        limits=limits,
        clock=Clock(limits.shortest),
        problems=app.problems,
        count=RefusalMetrics(app.registry).count,
        probes=tuple(path.encode() for path in PROBES),
    )
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=http_protocol(surroundings),
        ws=websocket_protocol(surroundings),  # type: ignore[arg-type]
        ws_max_size=connections.ws_max_message_bytes,
        ws_ping_interval=connections.ws_ping_interval,
        ws_ping_timeout=connections.ws_ping_timeout,
        # Events are small; compressing each costs memory per socket and time.
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=bool(connections.trusted_proxies),
        forwarded_allow_ips=list(connections.trusted_proxies),
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=round(connections.keep_alive_timeout),
        timeout_graceful_shutdown=round(process.grace_seconds),
    )
    server = Server(
        config,
        lifecycle=app.lifecycle,
        long_lived=app.long_lived,
        drain_seconds=process.drain_seconds,
    )
    server.run(sockets=[listener])
