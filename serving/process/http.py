"""uvicorn's protocols, with limits that keep one slow client from costing the others."""

import asyncio
import json
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.process.settings import ConnectionSettings
from serving.web.problems import MEDIA_TYPE, Problems


class LimitedHttp(HttpToolsProtocol):
    """HTTP/1.1 with limits on the header's size and time, and on the time to take a response."""

    settings: ClassVar[ConnectionSettings]
    problems: ClassVar[Problems]

    _header_bytes = 0
    _in_header = True
    _header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.settings.max_connections:
            self._refuse(503, "too-many-connections", "this replica holds all it may")
        else:
            self._await_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self._header_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_header:
            self._header_bytes = 0
            return
        self._header_bytes += len(data)
        if self._header_bytes > self.settings.header_max_bytes:
            self._refuse(431, "header-too-large", "the request line and header are too large")
        elif self._header_timer is None:
            self._await_header()

    def on_message_begin(self) -> None:
        self._in_header = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_header = False
        self._header_came()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "bad-request", msg)

    def timeout_keep_alive_handler(self) -> None:
        # close() would wait for a client that does not read for as long as it pleases.
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._unset_keepalive_if_required()
            self.loop.call_later(self.settings.write_timeout, self._abort_unread)

    def _abort_unread(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _await_header(self) -> None:
        self._header_timer = self.loop.call_later(self.settings.header_timeout, self._header_late)

    def _header_came(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _header_late(self) -> None:
        self._header_timer = None
        if not self.transport.is_closing():
            self._refuse(408, "header-too-slow", "the header did not arrive in time")

    def _refuse(self, status: int, slug: str, detail: str) -> None:
        if self.transport.is_closing():
            return
        body = json.dumps(self.problems.document(status, slug, detail)).encode()
        self.transport.write(
            STATUS_LINE[status]
            + f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n".encode()
            + (b"retry-after: 1\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else b"")
            + b"connection: close\r\n\r\n"
            + body
        )
        self.transport.close()


def http_protocol(settings: ConnectionSettings, problems: Problems) -> type[HttpToolsProtocol]:
    """The class of HTTP connections under these settings; uvicorn makes the instances."""
    members = {"settings": settings, "problems": problems}
    return type("ConfiguredHttp", (LimitedHttp,), members)


def websocket_protocol(**arguments: Any) -> asyncio.Protocol:
    """A WebSocket connection. What it needs is imported when the first one comes."""
    from serving.process.websocket import ClosableWebSocket  # noqa: PLC0415

    return ClosableWebSocket(**arguments)
