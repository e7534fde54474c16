"""uvicorn's HTTP/1.1 protocol, within limits: see `connection` for the states.

One request is read at a time. What a client sends ahead stays unparsed until the answer before it
has gone, so answers keep their order and nothing is counted to the wrong request.
"""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving.process.connection import (
    LINGER_BYTES,
    LINGER_SECONDS,
    RESERVED_CONNECTIONS,
    RESERVED_SECONDS,
    Limits,
    Refusal,
    State,
    Surroundings,
)
from serving.process.framing import (
    ABSOLUTE,
    END_OF_HEAD,
    HOST,
    Chunks,
    fault_of_head,
    fault_of_request_line,
)

IDLE, HEAD, BODY, CHUNKS = State.IDLE, State.HEAD, State.BODY, State.CHUNKS
SURPLUS, ANSWER, CLOSING = State.SURPLUS, State.ANSWER, State.CLOSING

# What is looked at here of a request's fields.
_LOOKED_AT = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"expect", b"connection", b"upgrade"}
)
_LAST_WORDS = (b" HTTP/1.1", b" HTTP/1.0")
_DISAGREEMENT = Refusal(400, "bad-request", "where the request ends is not clear")
# What the WebSocket's own parser takes (websockets.http11), minus what it adds to a line.
_HANDSHAKE_FIELDS = 120
_HANDSHAKE_LINE = 8000


class LimitedHttp(HttpToolsProtocol):
    """An HTTP/1.1 connection in the states and within the limits of `connection`.

    Attributes:
        deadline: of the state it is in, on the event loop's clock.
    """

    surroundings: ClassVar[Surroundings]
    limits: ClassVar[Limits]

    deadline = 0.0
    _state: State = IDLE
    _first = True
    _idle_until = 0.0
    _is_reserved = False
    _eof = False
    # The head so far, when it comes in several segments, or all of it.
    _head: bytes | bytearray = b""
    _head_ends = False
    _blanks = 0
    # What of the message the parser has seen the end of.
    _has_head = False
    _is_whole = False
    # The body comes past the parser, which skips it (an upgrade that is not made).
    _is_skipped = False
    _is_handshake = False
    _refusal: Refusal | None = None
    _left = 0
    _chunks: Chunks | None = None
    # Bytes that came ahead of their turn.
    _held = b""
    _dropped = 0
    _host = b""

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        limits = self.limits
        self.deadline = self.loop.time() + limits.header_timeout
        reserved = self.surroundings.reserved
        if len(self.connections) - len(reserved) > limits.max_connections:
            self._is_reserved = True
            self.deadline = self.loop.time() + min(RESERVED_SECONDS, limits.header_timeout)
            reserved[self] = None
            if len(reserved) > RESERVED_CONNECTIONS:
                oldest, _ = reserved.popitem(last=False)
                self.surroundings.count("too-many-connections")
                oldest.transport.abort()
        self.surroundings.clock.watch(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._leave()
        self._held = b""
        super().connection_lost(exc)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The client has ended its side: what it has asked for completely is still answered."""
        self._eof = True
        return self._state is ANSWER

    def data_received(self, data: bytes) -> None:
        """Take what came, as far as it is its turn."""
        while data:
            state = self._state
            if state is IDLE or state is HEAD:
                data = self._take_head(data)
            elif state is BODY:
                data = self._take_body(data)
            elif state is CHUNKS:
                data = self._take_chunks(data)
            elif state is ANSWER:
                self._held += data
                self.flow.pause_reading()
                return
            else:
                self._drop(data)
                return

    def pause_writing(self) -> None:
        """The client does not take what there is for it: it has a time to do so."""
        super().pause_writing()
        self.deadline = min(self.deadline, self.loop.time() + self.limits.write_timeout)

    def resume_writing(self) -> None:
        """The client takes its answers again."""
        super().resume_writing()
        now = self.loop.time()
        if self._state is ANSWER:
            self.deadline = now + self.limits.response_timeout
        elif self._state is IDLE and not self.transport.is_closing():
            self._wait_for_next(now)

    # --- parts of a message

    def _take_head(self, data: bytes) -> bytes:
        limit = self.limits.header_max_bytes
        if self._state is IDLE:
            if data[0] in b"\r\n":
                # RFC 9112 section 2.2: an empty line before a request is ignored. It is not the
                # begin of one either: the time to wait for that goes on.
                rest = data.lstrip(b"\r\n")
                self._blanks += len(data) - len(rest)
                if self._blanks > limit:
                    self._refuse(Refusal(400, "bad-request", "expected a request"))
                    return b""
                if not rest:
                    return b""
                data = rest
            self._state = HEAD
            self._has_head = self._is_whole = self._head_ends = self._is_skipped = False
            end = data.find(END_OF_HEAD, 0, limit)
            if end >= 0:
                end += len(END_OF_HEAD)
                whole = data if end == len(data) else data[:end]
                self._head = whole
                self._head_ends = True
                self._feed_head(whole)
                return self._after_head(data[end:] if end < len(data) else b"")
            self._head = bytearray()
            if not self._first and not self._is_reserved:
                self.deadline = self.loop.time() + self.limits.header_timeout
        head = self._head
        assert isinstance(head, bytearray)  # noqa: S101
        before = len(head)
        head += data[: limit + 1]
        end = head.find(END_OF_HEAD, max(0, before - 3))
        taken = len(data)
        if end >= 0:
            taken = end + len(END_OF_HEAD) - before
            del head[before + taken :]
        if len(head) > limit:
            self._refuse(
                Refusal(431, "header-too-large", "the request line and header are too large")
            )
            return b""
        self._head_ends = end >= 0
        self._feed_head(data[:taken])
        return self._after_head(data[taken:])

    def _after_head(self, rest: bytes) -> bytes:
        """Where a handshake goes its own way."""
        if not self._is_handshake or self._state is CLOSING:
            return rest
        if rest:
            # RFC 6455 section 4.1: a client waits for the response before it sends more.
            self._refuse(Refusal(400, "bad-request", "expected nothing behind a handshake"))
        else:
            self.handle_websocket_upgrade()
        return b""

    def _feed_head(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            self._refuse(self._refusal or fault_of_head(bytes(self._head), error))
            return
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif self._has_head is not self._head_ends:
            self._refuse(_DISAGREEMENT)
        elif self._has_head:
            has_body = self._state is not ANSWER and not self._is_handshake
            if self._is_whole is has_body:
                self._refuse(_DISAGREEMENT)

    def _take_body(self, data: bytes) -> bytes:
        rest = b""
        if len(data) > self._left:
            data, rest = data[: self._left], data[self._left :]
        self._left -= len(data)
        if self._is_skipped:
            self.on_body(data)
            if not self._left:
                self._complete()
        elif not self._feed(data):
            return b""
        if self._is_whole is not (self._left == 0):
            self._refuse(_DISAGREEMENT)
            return b""
        if not self._left:
            self._body_came()
        return rest

    def _take_chunks(self, data: bytes) -> bytes:
        chunks = self._chunks
        assert chunks is not None  # noqa: S101
        rest = b""
        try:
            taken = chunks.take(data)
        except Refusal as refusal:
            self._refuse(refusal)
            return b""
        if taken < len(data):
            data, rest = data[:taken], data[taken:]
        if not self._feed(data):
            return b""
        if self._is_whole is not chunks.done:
            self._refuse(_DISAGREEMENT)
            return b""
        if chunks.done:
            self._body_came()
        elif chunks.arrived > self.limits.request_max_bytes:
            # The application has seen enough to say that it is too much.
            self._state = SURPLUS
            if self.cycle.response_complete:
                self._end()
        return rest

    def _feed(self, data: bytes) -> bool:
        """Have the parser read a part of a body; false when the connection ends by it."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            self._refuse(Refusal(400, "bad-request", "the body is not framed as announced"))
            return False
        return True

    def _body_came(self) -> None:
        self._chunks = None
        if self.cycle.response_complete:
            self._wait_for_next(self.loop.time())
        else:
            self._state = ANSWER
            self.deadline = self.loop.time() + self.limits.response_timeout

    def _drop(self, data: bytes) -> None:
        self._dropped += len(data)
        if self._dropped > LINGER_BYTES:
            if self._state is SURPLUS and not self.cycle.response_complete:
                # The answer is on its way: no need to read on meanwhile.
                self.flow.pause_reading()
            else:
                self.transport.abort()

    # --- httptools' callbacks

    def on_headers_complete(self) -> None:
        """Hold the head against the rules, then hand the request to the application."""
        self._has_head = True
        if not self._head_ends:
            return
        self._refusal = self._fault()
        if self._refusal is not None:
            return
        super().on_headers_complete()
        if self._is_handshake:
            return
        self._first = False
        self._blanks = 0
        cycle = self.cycle
        now = self.loop.time()
        if self._is_reserved:
            cycle.keep_alive = False
        if self._chunks is None and not self._left:
            self._state = ANSWER
            self.deadline = now + self.limits.response_timeout
            return
        # Trailers are no headers (RFC 9110 section 6.5.1): the parser reports them alike.
        self.headers = []
        cycle.transport = _Ending(self)  # type: ignore[assignment]
        self.deadline = now + self.limits.body_timeout + _GRACE
        if self._chunks is not None:
            self._state = CHUNKS
        elif self._left > self.limits.request_max_bytes:
            self._state = SURPLUS
        else:
            self._state = BODY

    def on_message_complete(self) -> None:
        """The parser has seen the end of the message."""
        if self._has_head and not self._is_skipped:
            self._complete()

    def _complete(self) -> None:
        self._is_whole = True
        cycle: RequestResponseCycle | None = self.cycle
        if self._refusal is None and cycle is not None and not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    def _fault(self) -> Refusal | None:  # noqa: C901, PLR0912  (one rule after the other)
        """What is wrong with the head, if anything is."""
        head = self._head
        end = head.find(b"\r\n")
        version = head[end - 9 : end]
        if version not in _LAST_WORDS or head.count(b" ", 0, end) != 2:  # noqa: PLR2004
            return fault_of_request_line(bytes(head[:end])) or _DISAGREEMENT
        if self._is_reserved and not self.url.startswith(self.surroundings.probes):
            return _FULL
        is_1_1 = version == _LAST_WORDS[0]
        hosts: list[bytes] = []
        codings: list[bytes] = []
        self._left = 0
        self._chunks = None
        headers = self.headers
        if len(headers) > self.limits.header_max_fields:
            return Refusal(431, "too-many-fields", "the header has too many fields")
        for name, value in headers:
            if name not in _LOOKED_AT:
                continue
            if name == b"host":
                hosts.append(value)
            elif name == b"content-length":
                if not value.strip(b" \t").isdigit():
                    return Refusal(400, "bad-request", "Content-Length: expected a number")
                self._left = int(value)
            elif name == b"transfer-encoding":
                codings.append(value)
            elif name == b"expect" and value.lower() != b"100-continue":
                return Refusal(417, "expectation-failed", "Expect: expected 100-continue")
        url = self.url
        if url[:1] != b"/" or b"#" in url or not url.isascii():
            fault = self._fault_of_target(hosts)
            if fault is not None:
                return fault
        if len(hosts) != 1 and (is_1_1 or hosts):
            return Refusal(400, "bad-request", "Host: expected it once")
        if hosts and hosts[0] != self._host:
            if not HOST.fullmatch(hosts[0]):
                return Refusal(400, "bad-request", "Host: expected NAME or NAME:PORT")
            self._host = hosts[0]
        if not is_1_1:
            # RFC 9110 section 10.1.1: it would take an interim answer for the answer.
            self.expect_100_continue = False
        if codings:
            fault = self._fault_of_coding(codings, is_1_1=is_1_1)
            if fault is not None:
                return fault
            self._chunks = Chunks(self.limits.header_max_bytes)
        if self.parser.should_upgrade():
            return self._fault_of_upgrade(is_1_1=is_1_1)
        return None

    def _fault_of_target(self, hosts: list[bytes]) -> Refusal | None:
        """Whatever is not simply a path (RFC 9112 section 3.2)."""
        url = self.url
        method = self.parser.get_method()
        if method == b"CONNECT":
            return Refusal(501, "method-not-implemented", "this is no proxy")
        if url == b"*" and method == b"OPTIONS":
            return None
        match = ABSOLUTE.fullmatch(url)
        if match is None or b"#" in url or not url.isascii() or not HOST.fullmatch(match[1]):
            return Refusal(400, "bad-request", "expected a path or an absolute URL as target")
        path = match[2] or b"/"
        self.url = path if path.startswith(b"/") else b"/" + path
        if len(hosts) == 1:
            # What the target names counts (RFC 9112 section 3.2.2).
            place = self.headers.index((b"host", hosts[0]))
            self.headers[place] = (b"host", match[1])
        return None

    def _fault_of_coding(self, codings: list[bytes], *, is_1_1: bool) -> Refusal | None:
        """Transfer-Encoding (RFC 9112 sections 6.1 and 6.3)."""
        if not is_1_1:
            return Refusal(400, "bad-request", "Transfer-Encoding: HTTP/1.0 has none")
        names = [name.strip(b" \t").lower() for line in codings for name in line.split(b",")]
        if names == [b"chunked"]:
            return None
        if names[-1] == b"chunked" and names.count(b"chunked") == 1:
            return Refusal(501, "coding-not-implemented", "Transfer-Encoding: expected chunked")
        return Refusal(400, "bad-request", "Transfer-Encoding: expected chunked, once and last")

    def _fault_of_upgrade(self, *, is_1_1: bool) -> Refusal | None:
        """A request to upgrade: a handshake (RFC 6455 section 4.2.1), or one that is ignored."""
        if not self._should_upgrade():
            # RFC 9110 section 7.8: a server may ignore it. The parser takes no body then.
            self._is_skipped = self._left > 0
            if self._chunks is not None:
                return Refusal(400, "bad-request", "Upgrade: not together with chunks")
            return None
        if self.parser.get_method() != b"GET" or not is_1_1:
            return Refusal(400, "bad-request", "expected a handshake by GET in HTTP/1.1")
        if self._left or self._chunks is not None:
            return Refusal(400, "bad-request", "expected a handshake without a body")
        if len(self.url) > self.limits.url_max_bytes:
            return Refusal(414, "url-too-long", "the path and query are too long")
        if len(self.headers) > _HANDSHAKE_FIELDS or any(
            len(name) + len(value) > _HANDSHAKE_LINE for name, value in self.headers
        ):
            return Refusal(431, "header-too-large", "the handshake's fields are too many or large")
        versions = [value for name, value in self.headers if name == b"sec-websocket-version"]
        if versions not in ([], [b"13"]):
            # RFC 6455 section 4.4.
            detail = "Sec-WebSocket-Version: expected 13"
            return Refusal(426, "upgrade-required", detail, field="sec-websocket-version: 13")
        self._is_handshake = True
        return None

    # --- answers, and the end

    def on_response_complete(self) -> None:
        """A response is on its way; what was sent ahead has its turn."""
        self.server_state.total_requests += 1
        now = self.loop.time()
        if self._state is CLOSING:
            return
        if self.transport.is_closing():
            self.deadline = now + self.limits.write_timeout
            return
        if self._state is not ANSWER:
            # Of the body, which nobody waits for any more, there is more to come.
            self.flow.resume_reading()
            if self._state is SURPLUS:
                self._end()
            return
        self._wait_for_next(now)

    def _wait_for_next(self, now: float) -> None:
        if self._eof and not self._held:
            self.transport.close()
            self.deadline = now + self.limits.write_timeout
            return
        self._state = IDLE
        self._head = b""
        if self.flow.write_paused:
            # Whoever does not take answers gets no more of them, see `resume_writing`.
            self.flow.pause_reading()
            self.deadline = now + self.limits.write_timeout
            return
        self.deadline = self._idle_until = now + self.limits.keep_alive_timeout
        if self.transport.get_write_buffer_size():
            self.deadline = min(self.deadline, now + self.limits.write_timeout)
        self.flow.resume_reading()
        if self._held:
            held, self._held = self._held, b""
            self.data_received(held)
            if self._eof and self._state not in {ANSWER, CLOSING}:
                self.transport.close()
                self.deadline = now + self.limits.write_timeout

    def late(self, now: float) -> None:
        """The state's deadline has passed."""
        state = self._state
        if state is CLOSING or self.transport.is_closing():
            self.transport.abort()
        elif state is IDLE:
            if now < self._idle_until and not self.transport.get_write_buffer_size():
                self.deadline = self._idle_until
            elif self.transport.get_write_buffer_size():
                self.surroundings.count("answer-not-taken")
                self.transport.abort()
            else:
                self.transport.close()
                self.deadline = now + LINGER_SECONDS
        elif state is HEAD:
            self._refuse(Refusal(408, "header-too-slow", "the header did not arrive in time"))
        elif self.cycle.response_complete:
            self.surroundings.count("body-too-slow")
            self._end()
        elif self.cycle.response_started:
            self.surroundings.count("answer-not-taken")
            self.transport.abort()
        elif state is ANSWER:
            self._refuse(Refusal(503, "answer-too-slow", "the answer took too long"))
        else:
            self._refuse(Refusal(408, "body-too-slow", "the body did not arrive in time"))

    def shutdown(self) -> None:
        """The server ends: whoever has asked is answered, everybody else is not waited for."""
        if self._state in {IDLE, HEAD, CLOSING} or self.cycle.response_complete:
            self.transport.close()
            self.deadline = self.loop.time() + min(LINGER_SECONDS, self.limits.write_timeout)
        else:
            self._held = b""
            self.cycle.keep_alive = False

    def close_after_answer(self) -> None:
        """The last answer is on its way, perhaps to a request that is not over."""
        if self._state is ANSWER:
            self.transport.close()
        else:
            self._end()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over."""
        self._leave()
        super().handle_websocket_upgrade()

    def _leave(self) -> None:
        self.surroundings.clock.forget(self)
        if self._is_reserved:
            self.surroundings.reserved.pop(self, None)

    def _refuse(self, refusal: Refusal) -> None:
        """End the connection with a problem in place of the answer that is due."""
        if self._state is CLOSING or self.transport.is_closing():
            return
        self.surroundings.count(refusal.slug)
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            # An application that begins to read only now asks for nothing any more.
            cycle.waiting_for_100_continue = False
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.abort()
                return
        elif cycle is not None and self._state in {BODY, CHUNKS, SURPLUS}:
            # Answered already: there is nothing to say about what follows.
            self._end()
            return
        self.transport.write(
            refusal.response(self.surroundings.problems, with_body=self._head[:5] != b"HEAD ")
        )
        self._end()

    def _end(self) -> None:
        """Close in stages: our side now, the client's when it has read (RFC 9112 section 9.6)."""
        if self._state is CLOSING or self.transport.is_closing():
            return
        self._state = CLOSING
        self._held = b""
        self._dropped = 0
        self.deadline = self.loop.time() + min(LINGER_SECONDS, self.limits.write_timeout)
        if self._eof:
            self.transport.close()
            return
        self.transport.write_eof()
        self.flow.resume_reading()


_FULL = Refusal(503, "too-many-connections", "this replica holds all it may")
# The application's own limit of time comes first: its answer is logged.
_GRACE = 0.5


class _Ending:
    """The transport of a response whose request has a body: closes in stages."""

    __slots__ = ("_connection", "is_closing", "write")

    def __init__(self, connection: LimitedHttp) -> None:
        self._connection = connection
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing

    def close(self) -> None:
        self._connection.close_after_answer()


def http_protocol(surroundings: Surroundings) -> type[HttpToolsProtocol]:
    """The class of HTTP connections in these surroundings; uvicorn makes the instances."""
    members = {"surroundings": surroundings, "limits": surroundings.limits}
    return type("ConfiguredHttp", (LimitedHttp,), members)


def websocket_protocol(surroundings: Surroundings) -> Callable[..., asyncio.Protocol]:
    """What makes WebSocket connections. It is imported when the first one comes."""

    def make(**arguments: Any) -> asyncio.Protocol:
        from serving.process.websocket import websocket_class  # noqa: PLC0415

        return websocket_class(surroundings)(**arguments)

    return make
