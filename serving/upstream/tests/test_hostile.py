"""The other service as an enemy: memory and the event loop are ours, the key is its own alone."""

import asyncio
import gzip
import socket
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from serving.upstream.tests.test_client import open_oracle, well
from tools.dev.ai import AiStub, Behaviour, Exchange, never, one_after_another, responds, sends

MIB = 1 << 20
GROWTH = 48 * MIB
# Of the loop's own processor time between two of its turns: load of others does not count.
LONGEST_TURN = 0.3
PIECE = b" " * 65_536
# A machine under load connects late.
LIMITS = {"breaker_failures": 1, "breaker_recovery": 60, "connect_timeout": 5}


def endless(first: bytes, piece: bytes, pause: float = 0, pieces: int = 1600) -> Behaviour:
    """Sends a piece again and again, 100 MB of large ones, for as long as anybody reads."""

    def behave(exchange: Exchange) -> None:
        exchange.send(first)
        for _ in range(pieces):
            exchange.send(piece)
            exchange.wait(pause)

    return behave


def compressed(coding: str, body: bytes) -> Behaviour:
    return responds(body, 200, f"Content-Encoding: {coding}", "Content-Type: application/json")


BOMB = b"\0" * (64 * MIB)
OK = b"HTTP/1.1 200 OK\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(PIECE), PIECE)
HOSTILE: dict[str, tuple[Behaviour, int, str]] = {
    "100 MB until the end": (endless(OK + b"\r\n", PIECE), 502, "too-large"),
    "100 MB as announced": (
        endless(OK + b"Content-Length: 104857600\r\n\r\n", PIECE),
        502,
        "too-large",
    ),
    "100 MB in chunks": (
        endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK),
        502,
        "too-large",
    ),
    "100 MB with an error": (endless(b"HTTP/1.1 500 No\r\n\r\n", PIECE), 502, "error-status"),
    "endless slow bytes": (
        endless(OK + b"Content-Length: 1000\r\n\r\n", b" ", 0.05),
        504,
        "timeout",
    ),
    "endless slow chunks": (
        endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 0.05),
        504,
        "timeout",
    ),
    "an endless slow header": (endless(OK, b"A: b\r\n", 0.05), 504, "timeout"),
    "endless headers": (endless(OK, b"A: b\r\n" * 1000), 502, "broken-answer"),
    "one endless header": (endless(OK + b"A: ", PIECE), 502, "broken-answer"),
    "an endless status line": (endless(b"HTTP/1.1 200 ", PIECE), 502, "broken-answer"),
    "endless extensions of a chunk": (
        endless(OK + b"Transfer-Encoding: chunked\r\n\r\n1;", PIECE),
        502,
        "broken-answer",
    ),
    "endless trailers": (
        endless(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n" * 1000),
        502,
        "broken-answer",
    ),
    "endless interim answers": (
        endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" * 100, pieces=100_000),
        504,
        "timeout",
    ),
    "slow interim answers": (
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05),
        504,
        "timeout",
    ),
    "switching protocols": (sends(b"HTTP/1.1 101 No\r\nUpgrade: x\r\n\r\n"), 502, "broken-answer"),
    "a gzip bomb": (compressed("gzip", gzip.compress(BOMB, 1)), 502, "broken-answer"),
    "a deflate bomb": (compressed("deflate", zlib.compress(BOMB, 1)), 502, "broken-answer"),
    "two codings": (compressed("gzip, gzip", b"x"), 502, "broken-answer"),
    "br": (compressed("br", b"x"), 502, "broken-answer"),
    "zstd": (compressed("zstd", b"x"), 502, "broken-answer"),
    "closing in the middle": (
        sends(OK + b"Content-Length: 100\r\n\r\n{"),
        502,
        "broken-answer",
    ),
    "closing in a chunk": (
        sends(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"),
        502,
        "broken-answer",
    ),
    "closing in the header": (sends(OK + b"A: b"), 502, "broken-answer"),
    "two lengths": (
        sends(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x"),
        502,
        "broken-answer",
    ),
    "a negative length": (sends(OK + b"Content-Length: -1\r\n\r\n{}"), 502, "broken-answer"),
    "never answering": (never, 504, "timeout"),
}


def resident(name: str) -> int:
    """Bytes of this process: `VmRSS` now, or `VmHWM` at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(name)


class Turns:
    """The longest turn of the event loop, in processor time of its thread."""

    longest = 0.0


@asynccontextmanager
async def watched_turns() -> AsyncIterator[Turns]:
    turns = Turns()

    async def watch() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.002)
            turns.longest = max(turns.longest, time.thread_time() - before)

    task = asyncio.create_task(watch())
    yield turns
    task.cancel()


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_answer_is_a_failure_within_bounds_that_the_breaker_counts(
    name: str,
) -> None:
    behaviour, status, outcome = HOSTILE[name]
    with AiStub(behaviour=behaviour) as stub:
        async with open_oracle(stub.url, **LIMITS) as oracle:
            # What is imported and set up once is no growth.
            oracle.client._connected()
            before = max(resident("VmHWM"), resident("VmRSS"))
            began = time.monotonic()
            async with watched_turns() as turns, asyncio.timeout(20):
                failure = await oracle.fail()
            assert (failure.status, failure.outcome) == (status, outcome)
            assert time.monotonic() - began < 15, "two seconds are allowed for all of a call"
            assert turns.longest < LONGEST_TURN
            assert resident("VmHWM") - before < GROWTH
            assert await oracle.outcome() == "circuit-open"
            assert stub.calls == 1


@pytest.fixture
def other_host() -> Iterator[tuple[str, Callable[[], int]]]:
    """Another host's address, and how often somebody came there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)

        def visits() -> int:
            count = 0
            while True:
                try:
                    listener.accept()[0].close()
                except BlockingIOError:
                    return count
                count += 1

        yield f"http://127.0.0.1:{listener.getsockname()[1]}", visits


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_nobody_is_sent_to_another_host_with_the_key(
    other_host: tuple[str, Callable[[], int]], status: int
) -> None:
    url, visits = other_host
    behaviour = one_after_another(responds(b"", status, f"Location: {url}/steal"), well)
    with AiStub(behaviour=behaviour) as stub:
        async with open_oracle(stub.url) as oracle:
            assert (await oracle.fail()).outcome == "error-status"
    assert stub.calls == 1
    assert visits() == 0


@pytest.mark.parametrize("location", ["/v1/ask", "//evil.example", "http://[", "", "\x01"])
async def test_nobody_runs_in_circles(location: str) -> None:
    with AiStub(behaviour=responds(b"", 307, f"Location: {location}")) as stub:
        async with open_oracle(stub.url) as oracle:
            assert (await oracle.fail()).status == 502
    assert stub.calls == 1


async def test_a_probe_is_not_led_astray_either(
    other_host: tuple[str, Callable[[], int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, visits = other_host

    def lead_astray(exchange: Exchange, *_: object) -> None:
        exchange.send(f"HTTP/1.1 302 Found\r\nLocation: {url}\r\n\r\n".encode())

    monkeypatch.setattr(Exchange, "respond", lead_astray)
    with AiStub() as stub:
        async with open_oracle(stub.url) as oracle:
            await oracle.client._probe()
            assert oracle.client.watched.status == "ok"
    assert visits() == 0
