"""uvicorn's WebSocket protocol, within limits: a handshake is answered, an end has its time."""

import asyncio
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidHeader
from websockets.frames import Frame

from serving.process.connection import (
    LINGER_BYTES,
    LINGER_SECONDS,
    Limits,
    Refusal,
    Surroundings,
)
from serving.process.extension import CLOSE_NOW

POLICY_VIOLATION = 1008
INVALID_DATA = 1007

# So much is parsed before the frames in it are counted: at most some hundred.
_SLICE = 4096
_LOOK_SECONDS = 5.0
_WINDOW_SECONDS = 60.0


class LimitedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket with limits, which can be closed although its client does not read.

    The ASGI `websocket.close` waits for the buffer to drain, which a stuck client never lets
    happen. With `close_now` the close frame is queued behind what there is, for a client that is
    merely slow, and the connection is dropped soon after, whatever the client does.

    Attributes:
        deadline: when it is looked at next, on the event loop's clock.
    """

    surroundings: ClassVar[Surroundings]
    limits: ClassVar[Limits]

    deadline = 0.0
    _is_ending = False
    # The client has lost the right to be listened to.
    _is_dropped = False
    _dropped = 0
    _frames = 0
    _window = 0.0
    _answer_by = 0.0

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A handshake is about to come."""
        super().connection_made(transport)
        self._window = self.loop.time()
        self._answer_by = self._window + self.limits.response_timeout
        self._look_again(self._window)
        self.surroundings.clock.watch(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self.surroundings.clock.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, a slice at a time, as long as the client behaves."""
        if self.handshake_initiated and not self.handshake_complete:
            # RFC 6455 section 4.1: a client waits for the response before it sends more.
            self._refuse(Refusal(400, "bad-request", "expected nothing behind a handshake"))
        if not self.handshake_initiated:
            # It comes whole, from the protocol that has read it before.
            super().data_received(data)
            if not self.handshake_initiated:
                self._refuse(Refusal(400, "bad-request", "expected a handshake"))
            return
        for start in range(0, len(data), _SLICE):
            if self._is_dropped:
                self._drop(len(data) - start)
                return
            super().data_received(data[start : start + _SLICE])
            if self._frames > self.limits.ws_max_frames_per_minute:
                self._count_anew()

    def shutdown(self) -> None:
        """The server ends."""
        if self.handshake_complete:
            super().shutdown()
        else:
            self._refuse(Refusal(503, "draining", "this replica is shutting down; connect again"))

    def late(self, now: float) -> None:
        """Look whether the connection is where it should be."""
        if self._is_ending:
            self.transport.abort()
        elif self.transport.is_closing() or self.close_sent:
            self._is_ending = True
            self.deadline = now + LINGER_SECONDS
        elif self.handshake_complete:
            # Open: pings tell whether the client is there.
            self._look_again(now)
        elif now < self._answer_by:
            self._look_again(now)
            self.deadline = min(self.deadline, self._answer_by)
        else:
            self._refuse(Refusal(503, "answer-too-slow", "the answer took too long"))

    def _look_again(self, now: float) -> None:
        self.deadline = now + min(_LOOK_SECONDS, self.limits.write_timeout)

    # --- uvicorn's events

    def handle_connect(self, event: Any) -> None:
        """Refuse what is no handshake; offer `close_now` to the application."""
        answer = self.conn.accept(event)
        if answer.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            # In our words: the parser's are plain text, and quote fields that may hold a key.
            self.handshake_initiated = True
            fault = self.conn.handshake_exc
            detail = f"{fault.name}: " if isinstance(fault, InvalidHeader) else ""
            detail += "expected a handshake as RFC 6455 section 4.2.1 has it"
            is_426 = answer.status_code == HTTPStatus.UPGRADE_REQUIRED
            slug = "upgrade-required" if is_426 else "bad-request"
            refusal = Refusal(426 if is_426 else 400, slug, detail)
            self._refuse(refusal, counted_as="bad-handshake")
            self.transport.close()
            return
        super().handle_connect(event)
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[CLOSE_NOW] = self.close_now
        # The task that calls it has not begun.
        self._application, self.app = self.app, self._answer

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the application; a handshake that it has refused is complete, and no error."""

        async def counted(message: Any) -> None:
            # uvicorn makes a 403 of a close in place of an acceptance (ASGI 3.0).
            is_refused = message["type"] == "websocket.close" and not self.handshake_complete
            if is_refused and self.initial_response is None:
                self.surroundings.count("handshake-403")
            await send(message)

        await self._application(scope, receive, counted)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True
            self.surroundings.count(f"handshake-{self.initial_response[0]}")

    def handle_text(self, event: Frame) -> None:
        """Count it."""
        self._frames += 1
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """Count it."""
        self._frames += 1
        super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        """Count it."""
        self._frames += 1
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """Count it."""
        self._frames += 1
        super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Count it, our own pings' answers too: they are few."""
        self._frames += 1
        super().handle_pong(event)

    def send_receive_event_to_app(self) -> None:
        """Refuse text that is not UTF-8 without a traceback in the log."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(INVALID_DATA)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """What came is no WebSocket: say so, and listen no more (RFC 6455 section 7.1.7)."""
        closed = self.conn.close_sent
        assert closed is not None  # noqa: S101
        self.surroundings.count(f"websocket-{closed.code}")
        self._say_goodbye(closed.code, closed.reason)

    def keepalive_timeout(self) -> None:
        """A client that answers no ping may not read either: drop it after a moment."""
        super().keepalive_timeout()
        self._is_gone()
        self.loop.call_later(1.0, self.transport.abort)

    # --- the end

    def close_now(self, code: int, reason: str, patience: float) -> None:
        """Send a close frame now and drop the connection after `patience` seconds."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._is_gone()
        self._read_on(patience)

    def _say_goodbye(self, code: int, reason: str) -> None:
        """Send what is queued, a close frame last, and whatever comes is dropped."""
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._is_dropped = True
        self._is_gone()
        # Closing at once would reset the connection and could lose the close frame.
        self.transport.write_eof()
        self._read_on(LINGER_SECONDS)

    def _is_gone(self) -> None:
        """For the application the client is gone: what it sends now is no mistake of its own."""
        self.disconnected = True
        self.writable.set()

    def _read_on(self, patience: float) -> None:
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        # Keeps uvicorn from closing at once when the application returns: the client's answer to
        # the close frame is awaited first.
        self.close_timer = self.loop.call_later(patience, self.transport.abort)

    def _drop(self, size: int) -> None:
        self._dropped += size
        if self._dropped > LINGER_BYTES:
            self.transport.abort()

    def _count_anew(self) -> None:
        now = self.loop.time()
        if now - self._window > _WINDOW_SECONDS:
            self._window, self._frames = now, 0
        elif self.close_sent or self.transport.is_closing():
            self._is_dropped = True
        else:
            self.surroundings.count("websocket-1008")
            self.conn.send_close(POLICY_VIOLATION, "too many frames")
            self._say_goodbye(POLICY_VIOLATION, "too many frames")

    def _refuse(self, refusal: Refusal, *, counted_as: str | None = None) -> None:
        if self.transport.is_closing() or self._is_dropped:
            return
        self.surroundings.count(counted_as or refusal.slug)
        self.handshake_complete = self.close_sent = self._is_dropped = self.disconnected = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        self.transport.write(refusal.response(self.surroundings.problems))
        self.transport.write_eof()
        self._read_on(LINGER_SECONDS)


def websocket_class(surroundings: Surroundings) -> type[LimitedWebSocket]:
    """The class of WebSockets in these surroundings."""
    members = {"surroundings": surroundings, "limits": surroundings.limits}
    return type("ConfiguredWebSocket", (LimitedWebSocket,), members)
