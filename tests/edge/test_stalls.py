"""Clients that stop, or drip, in every state of a connection: each state has an end.

All of them stall at the same time, so that the table takes as long as its slowest row.
"""

import contextlib
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from backend.tests.process import Running
from tests.edge.frames import HANDSHAKE
from tests.edge.server import TODOS, attacked, complaints, open_files
from tests.edge.wire import converse

GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
POST = f"POST {TODOS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
NOWHERE = b"POST /nowhere HTTP/1.1\r\nHost: x\r\n"
LENGTH = b"Content-Length: 100\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
LIST = b"GET /api/v1/todos?limit=100 HTTP/1.1\r\nHost: x\r\n\r\n"

# What is sent at once, and what then drips, a byte each tenth of a second; b"" is silence.
STATES = {
    "nothing": (b"", b""),
    "empty lines": (b"", b"\r\n"),
    "a request line": (b"GE", b"A"),
    "a target": (b"GET /", b"a"),
    "a header": (GET, b"X"),
    "a header in silence": (GET, b""),
    "a value": (GET + b"X-A: ", b"b"),
    "header lines": (GET, b"X-A: b\r\n"),
    "the end of a header": (GET + b"\r", b""),
    "idle": (GET + b"\r\n", b""),
    "empty lines after an answer": (GET + b"\r\n", b"\r\n"),
    "one empty line after an answer": (GET + b"\r\n\r\n", b""),
    "the next header": (GET + b"\r\nGET", b""),
    "a body": (POST + LENGTH, b" "),
    "a body in silence": (POST + LENGTH + b" ", b""),
    "a body that nobody wants": (NOWHERE + LENGTH, b" "),
    "one byte of a body that nobody wants": (NOWHERE + LENGTH + b"x", b""),
    "a body of a probe": (b"POST /health/live HTTP/1.1\r\nHost: x\r\n" + LENGTH, b" "),
    "a body with GET": (GET + LENGTH, b" "),
    "chunks": (POST + CHUNKED, b"1\r\n \r\n"),
    "chunks that nobody wants": (NOWHERE + CHUNKED, b"1\r\n \r\n"),
    "chunks with GET": (GET + CHUNKED, b"1\r\n \r\n"),
    "a size": (POST + CHUNKED, b"0"),
    "a size that nobody wants": (NOWHERE + CHUNKED, b"0"),
    "an extension": (POST + CHUNKED + b"1;", b"a"),
    "the end of a chunk": (POST + CHUNKED + b"1\r\n ", b""),
    "the last chunk": (POST + CHUNKED + b"1\r\n \r\n0\r\n", b""),
    "a trailer": (POST + CHUNKED + b"1\r\n \r\n0\r\nX-A: ", b"b"),
    "trailers": (POST + CHUNKED + b"1\r\n \r\n0\r\n", b"X-A: b\r\n"),
    "trailers that nobody wants": (NOWHERE + CHUNKED + b"0\r\n", b"X-A: b\r\n"),
    "a refused body": (POST + b"Content-Length: 100000\r\n\r\n", b" " * 100),
    "after a refusal": (b"\0\r\n\r\n", b"a"),
    "after Connection: close": (GET + b"Connection: close\r\n\r\n", b"a"),
    "a body that is waited for": (POST + b"Expect: 100-continue\r\n" + LENGTH, b""),
    "a list that nobody reads": (LIST * 40, b""),
    "a handshake": (HANDSHAKE[:-2], b"X"),
    "a handshake of 300 fields": (HANDSHAKE[:-2] + b"X-A: b\r\n" * 300 + b"\r\n", b""),
    "a handshake with a line of 9 KB": (HANDSHAKE[:-2] + b"X-A: " + b"b" * 9000 + b"\r\n\r\n", b""),
    "a handshake with a cookie of 9 KB": (
        HANDSHAKE[:-2] + b"Cookie: a=" + b"b" * 9000 + b"\r\n\r\n",
        b"",
    ),
    "a handshake by POST": (HANDSHAKE.replace(b"GET", b"POST")[:-2] + LENGTH, b" "),
    "a handshake by POST, whole": (
        HANDSHAKE.replace(b"GET", b"POST")[:-2] + b"Content-Length: 5\r\n\r\n12345",
        b"",
    ),
    "a handshake with a body": (HANDSHAKE[:-2] + LENGTH, b" "),
    "a handshake with chunks": (HANDSHAKE[:-2] + CHUNKED, b"1\r\n \r\n"),
    "an unknown handshake": (HANDSHAKE.replace(b"/ws/todos", b"/nowhere"), b"a"),
    "a socket that answers no ping": (HANDSHAKE, b""),
    "a socket in the middle of a frame": (HANDSHAKE + b"\x81", b""),
    "a socket that drips a frame": (HANDSHAKE + b"\x81\xfe\x0f\xa0abcd", b"a"),
    "a socket that has closed": (HANDSHAKE + b"\x88\x80abcd", b""),
    "a socket that broke": (HANDSHAKE + b"\xff\xff", b"a"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with attacked(tmp_path_factory.mktemp("edge"), HEADER_MAX_BYTES="16384") as running:
        with httpx.Client(base_url=running.url) as client:
            for _ in range(100):
                client.post(TODOS, json={"title": "x" * 200, "description": "y" * 3000})
        yield running


def opened(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setblocking(False)
    return connection


class Stall:
    """One client that stalls."""

    def __init__(self, port: int, first: bytes, drip: bytes) -> None:
        self._drip = drip
        self._connection = opened(port)
        self.seconds: float | None = None
        # A client waits for the answer to its handshake: what follows it comes with the first step.
        begin, handshake, self._then = first.partition(HANDSHAKE)
        if first:
            with contextlib.suppress(BlockingIOError):
                self._connection.send(begin + handshake)

    def step(self, seconds: float, *, reads: bool) -> None:
        """Drip, and see whether the server has closed."""
        if self.seconds is not None:
            return
        try:
            if self._then:
                self._connection.send(self._then)
                self._then = b""
            elif self._drip:
                self._connection.send(self._drip)
            while reads and select.select([self._connection], [], [], 0)[0]:
                if not self._connection.recv(65536):
                    self.seconds = seconds
                    return
        except BlockingIOError:
            pass
        except OSError:
            self.seconds = seconds

    def close(self) -> None:
        self._connection.close()


@pytest.mark.parametrize("reads", [True, False], ids=["reading", "not reading"])
def test_every_state_of_a_connection_ends(server: Running, reads: bool) -> None:
    """Ends within keep-alive time and the time to take an answer; 1 + 0.5 seconds here."""
    before = open_files(server)
    stalls = {name: Stall(server.port, *state) for name, state in STATES.items()}
    began = time.monotonic()
    try:
        # They are accepted within the first half second.
        while (seconds := time.monotonic() - began) < 6 and (
            seconds < 0.5
            or open_files(server) > before
            # A file of the server's own that closes meanwhile must not end the wait.
            or (reads and any(stall.seconds is None for stall in stalls.values()))
        ):
            for stall in stalls.values():
                stall.step(seconds, reads=reads)
            time.sleep(0.1)
        # What the server has closed may still hold bytes to be read before its end is seen.
        for _ in range(10):
            for stall in stalls.values():
                stall.step(seconds, reads=True)
            time.sleep(0.02)
        still = [name for name, stall in stalls.items() if stall.seconds is None]
        assert still == []
        assert open_files(server) <= before
    finally:
        for stall in stalls.values():
            stall.close()


def test_a_server_ends_while_connections_stall_in_every_state(tmp_path: Path) -> None:
    """SIGTERM finds one of each; `attacked` holds the exit code and the log."""
    slow = dict.fromkeys(("HEADER_TIMEOUT", "BODY_TIMEOUT", "KEEP_ALIVE_TIMEOUT"), "2")
    with (
        contextlib.ExitStack() as stack,
        attacked(tmp_path, HEADER_MAX_BYTES="16384", **slow) as server,
    ):
        for state in STATES.values():
            stall = Stall(server.port, *state)
            stack.callback(stall.close)
            stall.step(0, reads=False)
        time.sleep(0.3)


def test_a_request_in_flight_is_answered_although_a_handshake_was_refused(tmp_path: Path) -> None:
    """SIGTERM met a handshake that nobody had answered, and the process ended with a traceback."""
    refused = HANDSHAKE[:-2] + b"X-A: b\r\n" * 300 + b"\r\n"
    settings = {"DATABASE_URL": f"sqlite:///{tmp_path}/todos.db", "BODY_TIMEOUT": "5"}
    with Running(**settings) as server:
        server.wait_ready()
        stall = Stall(server.port, refused, b"")
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            body = b'{"title":"in flight"}'
            connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(body))
            time.sleep(0.3)
            server.terminate()
            time.sleep(0.3)
            connection.sendall(body)
            assert connection.recv(65536).startswith(b"HTTP/1.1 201 ")
        stall.close()
        assert server.process.wait(10) == 0
        assert complaints(server) == []


FULL = 20


@pytest.mark.parametrize(
    "hold",
    ["nothing", "a header", "idle", "a body", "a socket that answers no ping"],
)
def test_probes_are_answered_while_clients_hold_every_slot(tmp_path: Path, hold: str) -> None:
    first, _ = STATES[hold]
    slow = dict.fromkeys(
        ("HEADER_TIMEOUT", "BODY_TIMEOUT", "KEEP_ALIVE_TIMEOUT", "WS_PING_INTERVAL"), "20"
    )
    with attacked(tmp_path, MAX_CONNECTIONS=str(FULL), **slow) as server:
        stalls = [Stall(server.port, first, b"") for _ in range(FULL)]
        more = [Stall(server.port, b"", b"") for _ in range(FULL * 2)]
        time.sleep(0.5)
        try:
            for path in (b"/health/live", b"/health/ready", b"/health/startup", b"/metrics"):
                said = converse(server.port, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
                assert said.statuses == (200,), path
                assert said.closed, "a reserved connection is for one probe"
            said = converse(server.port, b"GET /api/v1/todos HTTP/1.1\r\nHost: x\r\n\r\n")
            assert said.statuses == (503,)
            assert said.answers[0].headers["retry-after"] == "1"
            assert said.answers[0].headers["content-type"] == "application/problem+json"
            said = converse(server.port, HANDSHAKE)
            assert said.statuses == (503,)
        finally:
            for stall in (*stalls, *more):
                stall.close()
        time.sleep(0.5)
