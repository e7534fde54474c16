"""One client cannot cost the others more than it may: limits on bytes, time and connections."""

import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from serving.tests.process import Running
from serving.tests.service import PATH


@pytest.fixture(scope="module")
def server(shared_sqlite_url: str) -> Iterator[Running]:
    with Running(
        DATABASE_URL=shared_sqlite_url,
        REQUEST_MAX_BYTES="2048",
        HEADER_MAX_BYTES="4096",
        URL_MAX_BYTES="512",
        HEADER_TIMEOUT="0.5",
        BODY_TIMEOUT="0.5",
        WRITE_TIMEOUT="0.5",
    ) as running:
        running.wait_ready()
        yield running


def talk(server: Running, *parts: bytes, pause: float = 0, patience: float = 5) -> bytes:
    """Send parts with pauses between; everything that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=patience) as connection:
        answer = b""
        try:
            for part in parts:
                connection.sendall(part)
                # Once the server has spoken it listens no more; sending on would reset its words.
                if pause and select.select([connection], [], [], pause)[0] and part is not parts[0]:
                    break
            while chunk := connection.recv(65536):
                answer += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
        return answer


def status(answer: bytes) -> int:
    match = re.match(rb"HTTP/1\.1 (\d+)", answer)
    assert match, answer
    return int(match[1])


HEAD = b"POST /notes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def test_a_body_over_the_limit_is_a_413_before_it_is_read(server: Running) -> None:
    answer = talk(server, HEAD + b"Content-Length: 1000000\r\n\r\n")
    assert status(answer) == 413
    assert b"application/problem+json" in answer
    assert b"connection: close" in answer.lower()


def test_a_chunked_body_over_the_limit_is_a_413(server: Running) -> None:
    chunk = b"400\r\n" + b" " * 0x400 + b"\r\n"
    answer = talk(server, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk, chunk, chunk)
    assert status(answer) == 413


def test_a_chunked_body_within_the_limit_is_taken(server: Running) -> None:
    body = b'{"text":"x"}'
    answer = talk(
        server,
        HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
    )
    assert status(answer) == 201


def test_a_body_that_does_not_come_is_a_408(server: Running) -> None:
    began = time.monotonic()
    answer = talk(server, HEAD + b"Content-Length: 100\r\n\r\n{")
    assert status(answer) == 408
    assert time.monotonic() - began < 5


def test_a_body_that_drips_is_a_408(server: Running) -> None:
    began = time.monotonic()
    answer = talk(server, HEAD + b"Content-Length: 100\r\n\r\n", *[b" "] * 9, pause=0.1)
    assert status(answer) == 408
    assert time.monotonic() - began < 5


def test_a_header_that_drips_is_a_408(server: Running) -> None:
    began = time.monotonic()
    answer = talk(server, b"GET / HTTP/1.1\r\n", *[b"X-A: b\r\n"] * 9, pause=0.1)
    assert status(answer) == 408
    assert time.monotonic() - began < 5


def test_a_connection_that_says_nothing_is_closed(server: Running) -> None:
    began = time.monotonic()
    talk(server)
    assert 0.3 < time.monotonic() - began < 5


def test_a_second_header_on_a_connection_is_timed_too(server: Running) -> None:
    first = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    began = time.monotonic()
    answer = talk(server, first, b"GET / HTT", pause=0.1)
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b" 408 " in answer
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "request_line",
    [b"GET / HTTP/1.1\r\n" + b"X-A: " + b"b" * 5000, b"GET /" + b"a" * 5000],
    ids=["header", "request line"],
)
def test_a_header_over_the_limit_is_a_431(server: Running, request_line: bytes) -> None:
    assert status(talk(server, request_line)) == 431


def test_many_small_headers_count_together(server: Running) -> None:
    answer = talk(server, b"GET / HTTP/1.1\r\n", *[b"X-A: " + b"b" * 500 + b"\r\n"] * 10)
    assert status(answer) == 431


def test_a_long_url_is_a_414(server: Running) -> None:
    response = httpx.get(f"{server.url}{PATH}?q={'a' * 600}")
    assert response.status_code == 414
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.complains("Invalid HTTP request received")
def test_what_is_not_http_is_a_400_problem(server: Running) -> None:
    answer = talk(server, b"\x16\x03\x01\x02\x00")
    assert status(answer) == 400
    assert b"application/problem+json" in answer


def open_files(server: Running) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


# What was still to be written to it has nowhere to go.
@pytest.mark.complains("the handler is closed")
def test_a_client_that_does_not_read_is_dropped(server: Running) -> None:
    with httpx.Client(base_url=server.url) as client:
        for _ in range(100):
            client.post(PATH, json={"text": "x" * 1700})
        before = open_files(server)
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            request = b"GET /notes?limit=100 HTTP/1.1\r\nHost: x\r\n\r\n"
            # More responses than the kernel's buffers hold.
            connection.sendall(request * 60)
            wait_for(lambda: open_files(server) > before)
            wait_for(lambda: open_files(server) == before)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 5 seconds"
        time.sleep(0.02)


def test_a_connection_too_many_gets_a_503_problem(sqlite_url: str) -> None:
    with Running(DATABASE_URL=sqlite_url, MAX_CONNECTIONS="2") as server:
        server.wait_ready()
        with (
            socket.create_connection(("127.0.0.1", server.port)),
            socket.create_connection(("127.0.0.1", server.port)),
        ):
            answer = talk(server, b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: httpx.get(f"{server.url}/health/live").status_code == 200)
    assert status(answer) == 503
    assert b"application/problem+json" in answer
    assert b"retry-after: 1\r\n" in answer
