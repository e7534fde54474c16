import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from types import FrameType

import uvicorn

from backend.app import create_app
from backend.service import Service
from backend.settings import Settings
from serving.process.http import http_protocol, websocket_protocol
from serving.process.supervisor import BACKLOG

CLOSE_SOCKETS_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn's server with an orderly end.

    After SIGTERM or SIGINT: unready at once; requests are still served for DRAIN_SECONDS, so that
    load balancers can notice; WebSockets are closed (1001); requests in flight have GRACE_SECONDS;
    exit code 0. A second signal ends the process at once.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
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
        if self._service.draining:
            os._exit(128 + sig)
        self._service.draining = True
        self._drain_until = time.monotonic() + self._service.settings.drain_seconds

    async def on_tick(self, counter: int) -> bool:
        """Take the next step of the end, when it is time."""
        now = time.monotonic()
        if self._sockets_until is not None:
            self.should_exit = not self._service.sockets.open or now >= self._sockets_until
        elif self._drain_until is not None and now >= self._drain_until:
            logger.info("drained; closing")
            self._service.feed.close_subscriptions()
            self._sockets_until = now + CLOSE_SOCKETS_SECONDS
            self.should_exit = not self._service.sockets.open
        return await super().on_tick(counter)


def run(settings: Settings, listener: socket.socket) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT, then finish what was begun."""
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=http_protocol(settings),
        ws=websocket_protocol,  # type: ignore[arg-type]
        ws_max_size=settings.ws_max_message_bytes,
        ws_ping_interval=settings.ws_ping_interval,
        ws_ping_timeout=settings.ws_ping_timeout,
        # Events are small; compressing each costs memory per socket and time.
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=round(settings.keep_alive_timeout),
        timeout_graceful_shutdown=round(settings.grace_seconds),
    )
    Server(config, app.state.service).run(sockets=[listener])
