"""Requests whose answer is long in coming, and heads by the thousand that never end."""

import contextlib
import resource
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from backend.tests.process import Running
from tests.edge.server import LIMITS, TODOS, attacked, memory, open_files
from tests.edge.wire import converse

BODY = b'{"title":"edge"}'
POST = (
    f"POST {TODOS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
    + b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
# An answer has to have more time than the AI service has for its part of it.
AI = dict.fromkeys(("AI_CONNECT_TIMEOUT", "AI_READ_TIMEOUT", "AI_TOTAL_TIMEOUT"), "0.5")
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Somebody else writes to the database meanwhile, and does not come to an end."""
    with closing(sqlite3.connect(folder / "todos.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def todos(server: Running) -> list[str]:
    """The title of each that is stored."""
    items = httpx.get(f"{server.url}{TODOS}", timeout=30).json()["items"]
    return [todo["title"] for todo in items]


def test_an_answer_that_is_not_there_in_time_is_a_503_and_the_request_is_done_once(
    tmp_path: Path,
) -> None:
    """As docs/problems.md has it: it may have been done. Here nothing keeps it from that."""
    slow = {"DATABASE_STATEMENT_TIMEOUT": "30", **AI}
    with attacked(tmp_path, RESPONSE_TIMEOUT="1", **slow) as server:
        with locked(tmp_path):
            said = converse(server.port, POST + LIVE, methods=("POST", "GET"))
            assert said.statuses == (503,), "what was sent ahead is not answered on this connection"
            (answer,) = said.answers
            assert answer.json["type"].endswith("answer-too-slow")
            assert answer.headers["retry-after"] == "1"
            assert said.closed
            assert said.seconds >= 1
            assert converse(server.port, LIVE).statuses == (200,), "others are answered meanwhile"
        deadline = time.monotonic() + 20
        while not (stored := todos(server)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert stored == ["edge"]
        metrics = httpx.get(f"{server.url}/metrics").text
        assert 'http_refused_total{reason="answer-too-slow"} 1.0' in metrics


HEADS = 1000
HEAD_BYTES = 16_000
MOST_EACH = 40_000


def test_a_thousand_partial_heads_take_no_more_than_their_bytes(tmp_path: Path) -> None:
    """With the default of 10,000 connections and 16 KB, that bounds what anybody can take."""
    head = b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ".ljust(HEAD_BYTES, b"b")
    production = dict.fromkeys(LIMITS, "")
    with (
        attacked(tmp_path, **{**production, "HEADER_TIMEOUT": "60"}) as server,
        contextlib.ExitStack() as stack,
    ):
        assert converse(server.port, LIVE).statuses == (200,)
        before = memory(server)
        for _ in range(HEADS):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
            stack.callback(connection.close)
            connection.sendall(head)
        deadline = time.monotonic() + 30
        while open_files(server) < HEADS and time.monotonic() < deadline:
            time.sleep(0.05)
        # All that was sent before has been read when this is answered.
        assert converse(server.port, LIVE).statuses == (200,)
        grown = memory(server) - before
        assert grown / HEADS < MOST_EACH, f"{grown / HEADS:.0f} bytes for each"


@pytest.fixture
def few_files() -> Iterator[None]:
    """The limit of open files that many shells begin with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, soft), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("few_files")
def test_a_server_raises_its_limit_of_open_files_to_what_it_may_hold(tmp_path: Path) -> None:
    with attacked(tmp_path, MAX_CONNECTIONS="1000") as server:
        soft, hard = limit_of_files(server)
        assert soft == min(1000 + 16 + 128, hard)


def limit_of_files(server: Running) -> tuple[int, int]:
    for line in Path(f"/proc/{server.process.pid}/limits").read_text().splitlines():
        if line.startswith("Max open files"):
            return int(line.split()[3]), int(line.split()[4])
    raise AssertionError("no limit of open files")
