"""The server's protocols in memory: no socket, no thread, and a clock that the test moves.

What arrives is handed to the protocol as asyncio would, what it writes is read by h11, and seconds
pass only when the test says so. A test of a deadline takes a millisecond and cannot be late.
"""

import asyncio
import functools
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import h11
import uvicorn
from uvicorn.server import ServerState

from serving.process.connection import Clock, Limits, Surroundings
from serving.process.http import http_protocol, websocket_protocol
from serving.web.problems import Problems

LIMITS: dict[str, Any] = {
    "max_connections": 3,
    "header_max_bytes": 500,
    "header_max_fields": 8,
    "url_max_bytes": 100,
    "request_max_bytes": 50,
    "header_timeout": 10.0,
    "body_timeout": 20.0,
    "response_timeout": 30.0,
    "write_timeout": 40.0,
    "keep_alive_timeout": 60.0,
    "ws_max_frames_per_minute": 10,
}
# A transport tells its protocol to write no more above this.
HIGH_WATER = 65536
_MOST_TURNS = 10_000

type Send = Callable[[dict[str, Any]], Awaitable[None]]
type Receive = Callable[[], Awaitable[dict[str, Any]]]


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still until it is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def next_timer(self) -> float | None:
        """When the next timer is due. asyncio has no public way to ask."""
        return min((one.when() for one in self._scheduled), default=None)  # type: ignore[attr-defined]

    async def turns(self) -> None:
        """Take turns until nothing is ready; a timer that is due becomes so in the first."""
        await asyncio.sleep(0)
        for _ in range(_MOST_TURNS):
            await asyncio.sleep(0)
            if not self._ready:  # type: ignore[attr-defined]
                return


class Transport(asyncio.Transport):
    """What is written, for a client that reads or one that does not."""

    def __init__(self, loop: Loop, protocol: Any) -> None:
        super().__init__()
        self.protocol = protocol
        self.taken = b""
        self.waiting = b""
        self.is_stuck = False
        self.is_paused = False
        self.has_ended = False
        self.was_aborted = False
        self.is_lost = False
        self._is_writing_paused = False
        self._is_closing = False
        self._loop = loop

    def write(self, data: Any) -> None:
        assert not self.has_ended, "written after the end"
        if self._is_closing:
            return
        self.waiting += bytes(data)
        if not self.is_stuck:
            self.take()
        elif len(self.waiting) > HIGH_WATER and not self._is_writing_paused:
            self._is_writing_paused = True
            self.protocol.pause_writing()

    def writelines(self, data: Any) -> None:
        self.write(b"".join(data))

    def take(self) -> None:
        """The client reads what there is."""
        self.taken += self.waiting
        self.waiting = b""
        if self._is_writing_paused:
            self._is_writing_paused = False
            self.protocol.resume_writing()
        if self._is_closing:
            self._lose()

    def write_eof(self) -> None:
        self.has_ended = True

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self._is_closing = True
        if not self.waiting:
            self._lose()

    def abort(self) -> None:
        self._is_closing = self.was_aborted = True
        self.waiting = b""
        self._lose()

    def _lose(self) -> None:
        if not self.is_lost:
            self.is_lost = True
            self._loop.call_soon(lambda: self.protocol.connection_lost(None))

    def is_closing(self) -> bool:
        return self._is_closing

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_reading(self) -> bool:
        return not self.is_paused

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("192.0.2.1", 1234), "sockname": ("192.0.2.2", 80)}.get(name, default)


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Request:
    """What the application was asked."""

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    version: str = "1.1"
    is_gone: bool = False


@dataclass
class Application:
    """Answers every request with its body's length, in the way that the path names.

    /early answers before it reads, /slow when the test says so, /begun begins and waits, /opened
    does so before it reads, /half says 100 KB and waits, /big 200 KB in pieces, /once in one,
    /close ends the connection; anything else when it has read the body.
    """

    requests: list[Request] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    socket: Callable[[dict[str, Any], Receive, Send], Awaitable[None]] | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            assert self.socket is not None
            await self.socket(scope, receive, send)
            return
        path = scope["path"]
        request = Request(
            scope["method"],
            path,
            scope["query_string"],
            scope["headers"],
            version=scope["http_version"],
        )
        self.requests.append(request)
        if path not in {"/early", "/opened"}:
            await self._read(request, receive)
            if request.is_gone:
                return
        if path == "/slow":
            await self.go_on.wait()
        is_big = path in {"/big", "/half", "/once"}
        body = b"x" * 200_000 if is_big else str(len(request.body)).encode()
        headers = [(b"content-length", b"%d" % len(body))]
        if path == "/close":
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if path in {"/begun", "/opened"}:
            await self.go_on.wait()
        size = 10_000 if path != "/once" else len(body)
        for at in range(0, len(body), size):
            if path == "/half" and at == 100_000:
                await self.go_on.wait()
            piece = body[at : at + size]
            more = at + size < len(body)
            await send({"type": "http.response.body", "body": piece, "more_body": more})

    async def _read(self, request: Request, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                request.is_gone = True
                return
            request.body += message["body"]
            if not message["more_body"]:
                return


class Server:
    """The protocols, one clock, and an application."""

    def __init__(self, **limits: Any) -> None:
        self.loop = Loop()
        self.refused: Counter[str] = Counter()
        self.state = ServerState()
        self.application = Application()
        configured = Limits(**{**LIMITS, **limits})
        self.surroundings = Surroundings(
            limits=configured,
            clock=Clock(configured.shortest),
            problems=Problems(),
            count=lambda reason: self.refused.update([reason]),
            probes=(b"/health/", b"/metrics"),
        )
        self._config = uvicorn.Config(
            self.application,
            http=http_protocol(self.surroundings),
            ws=websocket_protocol(self.surroundings),  # type: ignore[arg-type]
            ws_max_size=100,
            ws_ping_interval=20.0,
            ws_ping_timeout=20.0,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
        )
        self._config.load()

    @property
    def requests(self) -> list[Request]:
        return self.application.requests

    def connect(self) -> "Client":
        return Client(self)

    def protocol(self) -> Any:
        make: Any = self._config.http_protocol_class
        return make(config=self._config, server_state=self.state, app_state={}, _loop=self.loop)

    def settle(self) -> None:
        """Let everything happen that can happen without time."""
        self.loop.run_until_complete(self.loop.turns())

    def call(self, function: Callable[[], object]) -> None:
        """Call something of the server's, as its event loop would."""

        async def called() -> None:
            function()

        self.loop.run_until_complete(called())
        self.settle()

    def wait(self, seconds: float) -> None:
        """Let time pass, from one timer to the next."""
        end = self.loop.now + seconds
        while (timer := self.loop.next_timer()) is not None and timer <= end:
            self.loop.now = max(self.loop.now, timer)
            self.settle()
        self.loop.now = end
        self.settle()

    def close(self) -> None:
        for task in self.state.tasks:
            task.cancel()
        self.settle()
        self.loop.close()


class Client:
    """One connection, from the client's side."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.http = server.protocol()
        self.transport = Transport(server.loop, self.http)
        self._unread: list[bytes] = []
        self.server.call(lambda: self.http.connection_made(self.transport))

    def send(self, *parts: bytes) -> "Client":
        """Each part in a segment; what the server does not read now, it reads later."""
        for part in parts:
            self._unread.append(part)
            self._deliver()
        return self

    def end(self) -> "Client":
        """Close our side."""
        if not self.is_closed():

            def ended() -> None:
                if not self.transport.protocol.eof_received():
                    self.transport.close()

            self.server.call(ended)
        return self

    def wait(self, seconds: float) -> "Client":
        self.server.wait(seconds)
        self._deliver()
        return self

    def read(self) -> "Client":
        """Read what was left unread, and go on to."""
        self.transport.is_stuck = False
        self.server.call(self.transport.take)
        self._deliver()
        return self

    def _deliver(self) -> None:
        self.server.settle()
        while self._unread and not self.transport.is_paused and not self.is_closed():
            receive = self.transport.protocol.data_received
            self.server.call(functools.partial(receive, self._unread.pop(0)))

    def is_closed(self) -> bool:
        """The connection is gone."""
        return self.transport.is_lost

    def is_ending(self) -> bool:
        """The server will say nothing more."""
        return self.is_closed() or self.transport.has_ended or self.transport.is_closing()

    def answers(self, *methods: str) -> list[Answer]:
        """What h11 reads in what came, one connection of its own for each response."""
        data, found = self.transport.taken, []
        named = list(methods)
        while data:
            judge = h11.Connection(h11.CLIENT)
            method = named.pop(0) if named else "GET"
            judge.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
            judge.send(h11.EndOfMessage())
            judge.receive_data(data)
            answer, data = _one(judge)
            found.append(answer)
        return found

    def statuses(self, *methods: str) -> tuple[int, ...]:
        return tuple(answer.status for answer in self.answers(*methods))


def _one(judge: h11.Connection) -> tuple[Answer, bytes]:
    head: h11.Response | None = None
    body = b""
    while True:
        event = judge.next_event()
        if isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            return Answer(head.status_code, headers, body), judge.trailing_data[0]
        else:
            said = f"expected a response, got {event!r} after {head} {body!r}"
            assert isinstance(event, h11.InformationalResponse), said


def cut(data: bytes, size: int) -> Sequence[bytes]:
    """Data in segments of a size."""
    return [data[at : at + size] for at in range(0, len(data), size)]
