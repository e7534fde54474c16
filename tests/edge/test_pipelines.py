"""Several requests on one connection, cut into segments everywhere; clients that end their side."""

import httpx
import pytest

from backend.tests.process import Running
from tests.edge.server import TODOS
from tests.edge.wire import converse

BODY = b'{"title":"edge"}'
GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
FIELDS = f"POST {TODOS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
POST = FIELDS + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = (
    FIELDS
    + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\n"
    + BODY[:5]
    + b"\r\n%x\r\n" % len(BODY[5:])
    + BODY[5:]
    + b"\r\n0\r\nX-A: b\r\n\r\n"
)
PIPELINE = GET + POST + b"\r\n" + CHUNKED + GET
METHODS = ("GET", "POST", "POST", "GET")
RIGHT = (200, 201, 201, 200)


def test_a_long_pipeline_in_one_segment_is_answered_in_order(server: Running) -> None:
    requests = [
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Request-ID: n%d\r\n\r\n" % number
        for number in range(300)
    ]
    said = converse(server.port, b"".join(requests), methods=["GET"] * len(requests))
    assert [answer.headers["x-request-id"] for answer in said.answers] == [
        f"n{number}" for number in range(300)
    ]


def stored(server: Running) -> int:
    """How many todos there are, by walking the list."""
    count, cursor = 0, None
    while True:
        page = httpx.get(
            f"{server.url}{TODOS}", params={"limit": 100, **({"cursor": cursor} if cursor else {})}
        ).json()
        count += len(page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            return count


@pytest.mark.parametrize(
    ("rubbish", "refusal"),
    [
        (b"\x00\x01\x02\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"b" * 5000, 431),
        (FIELDS + b"Content-Length: many\r\n\r\n", 400),
        (FIELDS + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (FIELDS + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    ],
    ids=["bytes", "no host", "version", "header", "length", "chunk", "coding"],
)
@pytest.mark.parametrize("first", [POST, CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize("apart", [False, True], ids=["in one segment", "in two"])
def test_an_answer_that_is_due_comes_before_a_refusal(
    server: Running, first: bytes, rubbish: bytes, refusal: int, apart: bool
) -> None:
    before = stored(server)
    parts = (first, rubbish) if apart else (first + rubbish,)
    said = converse(server.port, *parts, methods=("POST", "GET"))
    assert said.statuses == (201, refusal)
    assert said.closed
    assert stored(server) == before + 1


@pytest.mark.parametrize("size", [1, 1000, 3900])
def test_body_bytes_are_no_header_bytes(server: Running, size: int) -> None:
    """The limit of 4096 bytes is for each head by itself, whatever shares a segment with it."""
    body = b'{"title":"edge"}' + b" " * size
    post = FIELDS + b"Content-Length: %d\r\n\r\n" % len(body) + body
    get = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-A: " + b"b" * 3000 + b"\r\n\r\n"
    for cut in (len(post) - len(body), len(post) - 1, len(post) + 10, len(post) + 2000):
        whole = post + get
        said = converse(server.port, whole[:cut], whole[cut:], methods=("POST", "GET"))
        assert said.statuses == (201, 200)


def test_a_request_whose_answer_is_read_before_its_body_is_no_end(server: Running) -> None:
    """A small body that nobody wants is read away, and the connection goes on."""
    head = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
    said = converse(server.port, head, b"12345" + GET, methods=("POST", "GET"), pause=0.1)
    assert said.statuses == (404, 200)


@pytest.mark.parametrize("request_", [GET, POST, CHUNKED], ids=["GET", "POST", "chunked"])
def test_a_client_that_ends_its_side_is_still_answered(server: Running, request_: bytes) -> None:
    """The answer is due: all that it asked for has come (half-closed, RFC 9293 section 3.6)."""
    method = request_.partition(b" ")[0].decode()
    said = converse(server.port, request_, methods=(method,), half_close=True)
    assert said.statuses in {(200,), (201,)}
    assert said.closed


def test_a_pipeline_is_answered_to_a_client_that_ends_its_side(server: Running) -> None:
    said = converse(server.port, PIPELINE, methods=METHODS, half_close=True)
    assert said.statuses == RIGHT
    assert said.closed


@pytest.mark.parametrize("cut", range(10, len(POST), 25))
def test_half_a_request_of_a_client_that_ends_its_side_is_nothing(
    server: Running, cut: int
) -> None:
    before = stored(server)
    said = converse(server.port, POST[:cut], methods=("POST",), half_close=True)
    assert said.closed
    assert said.seconds < 5
    assert stored(server) == before


def test_connection_close_is_the_last_request(server: Running) -> None:
    """RFC 9112 section 9.6: what comes after it is not looked at."""
    close = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    before = stored(server)
    said = converse(server.port, close + POST, methods=("GET", "POST"))
    assert said.statuses == (200,)
    assert said.closed
    assert stored(server) == before


def test_http_1_0_ends_with_its_answer(server: Running) -> None:
    said = converse(server.port, b"GET /health/live HTTP/1.0\r\n\r\n" + GET, methods=("GET", "GET"))
    assert said.statuses == (200,)
    assert said.closed


@pytest.mark.parametrize("quarter", range(4))
def test_a_pipeline_is_answered_alike_wherever_it_is_cut(server: Running, quarter: int) -> None:
    for cut in range(1 + quarter, len(PIPELINE), 4):
        said = converse(
            server.port, PIPELINE[:cut], PIPELINE[cut:], methods=METHODS, settle=0, pause=0.001
        )
        assert said.statuses == RIGHT, f"cut at {cut}: {PIPELINE[:cut]!r}"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, len(PIPELINE)])
def test_a_pipeline_is_answered_alike_in_pieces_of_any_size(server: Running, size: int) -> None:
    parts = [PIPELINE[at : at + size] for at in range(0, len(PIPELINE), size)]
    said = converse(server.port, *parts, methods=METHODS, pause=0.0005)
    assert said.statuses == RIGHT
    assert not said.closed
