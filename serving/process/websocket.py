"""The WebSocket protocol (RFC 6455) of uvicorn, which can also be closed in a hurry."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from serving.process.extension import CLOSE_NOW


class ClosableWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that can be closed although its client does not read.

    The ASGI `websocket.close` waits for the buffer to drain, which a stuck client never lets
    happen. This way the close frame is queued behind what there is, for a client that is merely
    slow, and the connection is dropped soon after, whatever the client does.
    """

    def handle_connect(self, event: Any) -> None:
        """Offer `close_now` to the application."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[CLOSE_NOW] = self.close_now

    def keepalive_timeout(self) -> None:
        """A client that answers no ping may not read either: drop it after a moment."""
        super().keepalive_timeout()
        self.loop.call_later(1.0, self.transport.abort)

    def close_now(self, code: int, reason: str, patience: float) -> None:
        """Send a close frame now and drop the connection after `patience` seconds."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        # Keeps uvicorn from closing at once when the application returns: the client's answer to
        # the close frame is awaited first.
        self.close_timer = self.loop.call_later(patience, self.transport.abort)
