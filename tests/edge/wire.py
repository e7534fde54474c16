"""Raw bytes to a server, and what comes back, judged by h11.

h11 shares no code with the parser that the service uses. What it does not accept as a response
(RFC 9112) raises `h11.RemoteProtocolError`, which fails the test that asked.
"""

import contextlib
import json
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import h11

PATIENCE = 10.0


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Conversation:
    """What a server said on one connection.

    Attributes:
        answers: the final responses, in order; interim ones (100) are left out.
        interim: statuses of the interim ones.
        closed: whether the server ended the connection within the patience.
        seconds: from the first byte sent to the end.
    """

    answers: tuple[Answer, ...]
    interim: tuple[int, ...]
    closed: bool
    seconds: float

    @property
    def statuses(self) -> tuple[int, ...]:
        return tuple(answer.status for answer in self.answers)


class Reader:
    """Reads responses off a socket, one h11 connection for each, so that nothing is forgiven."""

    def __init__(self, connection: socket.socket, methods: Iterable[str]) -> None:
        self._socket = connection
        self._methods = iter(methods)
        self._rest = b""
        self.interim: list[int] = []
        self.eof = False

    def next(self, deadline: float) -> Answer | None:
        """The next response; `None` when the server closes or says nothing more until then."""
        judge = h11.Connection(h11.CLIENT)
        method = next(self._methods, "GET")
        judge.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        judge.send(h11.EndOfMessage())
        if self._rest:
            judge.receive_data(self._rest)
        elif not self._more(judge, deadline):
            return None
        head: h11.Response | None = None
        body = b""
        while True:
            event = judge.next_event()
            if event is h11.NEED_DATA:
                if not self._more(judge, deadline):
                    raise AssertionError(f"the response broke off after {head} {body!r}")
            elif isinstance(event, h11.InformationalResponse):
                self.interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                self._rest = judge.trailing_data[0]
                headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
                return Answer(head.status_code, headers, body)
            else:
                raise AssertionError(f"expected a response, got {event!r}")

    def ends(self, deadline: float) -> bool:
        """Whether the server closes the connection until then, without another word."""
        assert not self._rest, self._rest
        data = self._receive(deadline)
        assert not data, data
        return self.eof

    def _more(self, judge: h11.Connection, deadline: float) -> bool:
        data = self._receive(deadline)
        if data is None:
            return False
        judge.receive_data(data)
        return bool(data)

    def _receive(self, deadline: float) -> bytes | None:
        self._socket.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            return None
        except ConnectionResetError:
            data = b""
        self.eof = not data
        return data


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """A connection whose every `send` leaves as a segment of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def converse(
    port: int,
    *parts: bytes,
    methods: Sequence[str] = ("GET",),
    pause: float = 0.002,
    half_close: bool = False,
    settle: float = 0.05,
    patience: float = PATIENCE,
) -> Conversation:
    """Send the parts, each in a segment; read as many responses as there are methods.

    Args:
        port: on the loopback address.
        parts: what to send, with `pause` seconds between.
        methods: those of the requests, as a client would remember them.
        pause: between two parts.
        half_close: end our side after the last part.
        settle: how long a connection has to stay open to count as open.
        patience: for each response, in seconds.
    """
    with connected(port) as connection:
        began = time.monotonic()
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for number, part in enumerate(parts):
                if number:
                    time.sleep(pause)
                connection.sendall(part)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        reader = Reader(connection, methods)
        answers: list[Answer] = []
        while len(answers) < len(methods):
            answer = reader.next(time.monotonic() + patience)
            if answer is None:
                break
            answers.append(answer)
        is_last = bool(answers) and answers[-1].headers.get("connection") == "close"
        wait = patience if is_last else settle
        closed = reader.eof or reader.ends(time.monotonic() + wait)
        return Conversation(tuple(answers), tuple(reader.interim), closed, time.monotonic() - began)
