"""Floods: memory stays bounded and the event loop turns while they last."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from backend.tests.process import Running
from tests.edge.frames import CONTINUATION, HANDSHAKE, PING, PONG, TEXT, frame
from tests.edge.pace import Pace
from tests.edge.server import LIMITS, TODOS, Watch, attacked, memory, peak
from tests.edge.wire import connected

MIB = 1 << 20
GROWTH = 40 * MIB
# Held up, the loop answered after nine seconds; another build beside it costs one or two. What else
# the machine does holds all up alike: so much longer it may take.
LONGEST_WAIT = 4.0
FLOOD_BYTES = 64 * MIB

POST = f"POST {TODOS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
PIECE = 1 << 16


def repeated(first: bytes, piece: bytes) -> Iterator[bytes]:
    """`first`, then a piece again and again, `FLOOD_BYTES` in all."""
    yield first
    block = piece * max(1, PIECE // len(piece))
    for _ in range(FLOOD_BYTES // len(block)):
        yield block


FLOODS: dict[str, Callable[[], Iterator[bytes]]] = {
    "bytes": lambda: repeated(b"", b"\0"),
    "empty lines": lambda: repeated(b"", b"\r\n"),
    "a request line": lambda: repeated(b"GET /", b"a"),
    "one header": lambda: repeated(b"GET / HTTP/1.1\r\nX-A: ", b"b"),
    "headers": lambda: repeated(b"GET / HTTP/1.1\r\n", b"X-A: b\r\n"),
    "a body": lambda: repeated(POST + b"Content-Length: 100000000\r\n\r\n", b" "),
    "a body that nobody wants": lambda: repeated(
        b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n", b" "
    ),
    "chunks": lambda: repeated(CHUNKED, b"1\r\n \r\n"),
    "chunks that nobody wants": lambda: repeated(
        b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"
    ),
    "a size": lambda: repeated(CHUNKED, b"0"),
    "an extension": lambda: repeated(CHUNKED + b"1;", b"a"),
    "extensions": lambda: repeated(CHUNKED, b"1;" + b"a" * 1000 + b"\r\n \r\n"),
    "one trailer": lambda: repeated(CHUNKED + b"1\r\n \r\n0\r\nX-A: ", b"b"),
    "trailers": lambda: repeated(CHUNKED + b"1\r\n \r\n0\r\n", b"X-A: b\r\n"),
    "trailers without a body": lambda: repeated(CHUNKED + b"0\r\n", b"X-A: b\r\n"),
    "trailers that nobody wants": lambda: repeated(
        b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"X-A: b\r\n",
    ),
    "requests": lambda: repeated(b"", b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"),
    "requests for lists": lambda: repeated(
        b"", f"GET {TODOS} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    ),
    "after a refusal": lambda: repeated(b"\0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "pings": lambda: repeated(HANDSHAKE, frame(PING, b"a" * 125)),
    "empty pings": lambda: repeated(HANDSHAKE, frame(PING)),
    "pongs": lambda: repeated(HANDSHAKE, frame(PONG)),
    "messages": lambda: repeated(HANDSHAKE, frame(TEXT, b"a")),
    "empty fragments": lambda: repeated(
        HANDSHAKE + frame(TEXT, fin=False), frame(CONTINUATION, fin=False)
    ),
    "a frame": lambda: repeated(HANDSHAKE + frame(TEXT, length=1 << 40), b"a"),
    "rubbish for frames": lambda: repeated(HANDSHAKE, b"\xff"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    # The limits of production: an empty variable counts as unset.
    with attacked(tmp_path_factory.mktemp("floods"), **dict.fromkeys(LIMITS, "")) as running:
        yield running


@pytest.fixture(scope="module")
def pace() -> Iterator[Pace]:
    with Pace() as measured:
        yield measured


@pytest.mark.parametrize("reads", [True, False], ids=["reading", "not reading"])
@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_costs_neither_memory_nor_time(
    server: Running, pace: Pace, name: str, reads: bool
) -> None:
    before = memory(server)
    grown_before = peak(server)
    began = time.monotonic()
    with Watch(server) as watch, connected(server.port) as connection:
        send(connection, FLOODS[name](), reads=reads)
        time.sleep(0.05)
    assert watch.failures == []
    assert watch.longest < LONGEST_WAIT * pace.slowdown(began)
    assert peak(server) - max(grown_before, before) < GROWTH


def send(connection: socket.socket, parts: Iterator[bytes], *, reads: bool) -> None:
    """Send as much of it as the server takes within two seconds."""
    deadline = time.monotonic() + 2
    connection.settimeout(0.5)
    first = next(parts)
    begin, handshake, then = first.partition(HANDSHAKE)
    connection.sendall(begin + handshake)
    if handshake:
        assert connection.recv(65536).startswith(b"HTTP/1.1 101 ")
        connection.sendall(then)
    with contextlib.suppress(OSError):
        for part in parts:
            connection.sendall(part)
            if reads:
                connection.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while connection.recv(1 << 20):
                        pass
                connection.settimeout(0.5)
            if time.monotonic() > deadline:
                return
