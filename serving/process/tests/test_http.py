"""The life of an HTTP connection, in memory: each state with its deadline, its limit and its end.

`//tests/edge` says the same of the whole service through sockets; here the edges of each limit are
tried, with a clock that the test moves.
"""

import functools
import logging
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from serving.process.connection import LINGER_BYTES, RESERVED_CONNECTIONS
from serving.process.tests.memory import HIGH_WATER, Client, Receive, Send, Server, cut

# The clock looks four times in the shortest time that anybody waits: 2 seconds, of the reserve.
TICK = 0.5

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
SLOW = GET.replace(b"/ ", b"/slow ", 1)
BIG = GET.replace(b"/ ", b"/big ", 1)
BEGUN = GET.replace(b"/ ", b"/begun ", 1)
HANDSHAKE_FIELDS = (
    b"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


def post(body: bytes = b"12345", path: bytes = b"/", fields: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b" % (
        path,
        fields,
        len(body),
        body,
    )


def chunked(body: bytes, path: bytes = b"/", fields: bytes = b"") -> bytes:
    """A request with a body that is chunked already."""
    head = b"POST %b HTTP/1.1\r\nHost: x\r\n%bTransfer-Encoding: chunked\r\n\r\n"
    return head % (path, fields) + body


def get(*fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: x") -> bytes:
    return b"\r\n".join([line, *([host] if host else []), *fields, b"", b""])


@pytest.fixture
def server(caplog: pytest.LogCaptureFixture) -> Iterator[Server]:
    made = Server()
    yield made
    complaints = [one for one in caplog.get_records("call") if one.levelno >= logging.WARNING]
    # Ends requests that the test has left without an answer, which uvicorn logs.
    made.close()
    assert complaints == []


@pytest.fixture
def client(server: Server) -> Client:
    return server.connect()


ANSWERED = {
    "a plain request": (GET, 200, b"0"),
    "one of HTTP/1.0": (get(line=b"GET / HTTP/1.0"), 200, b"0"),
    "one of HTTP/1.0 without a host": (get(line=b"GET / HTTP/1.0", host=b""), 200, b"0"),
    "an absolute target": (get(line=b"GET http://y/a HTTP/1.1"), 200, b"0"),
    "an absolute target of https": (get(line=b"GET HTTPS://y/a HTTP/1.1"), 200, b"0"),
    "an absolute target without a path": (get(line=b"GET http://y?b HTTP/1.1"), 200, b"0"),
    "a length": (post(), 200, b"5"),
    "a length of zero": (post(b""), 200, b"0"),
    "the largest body": (post(b"x" * 50), 200, b"50"),
    "chunks": (chunked(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), 200, b"5"),
    "no chunks": (chunked(b"0\r\n\r\n"), 200, b"0"),
    "the largest chunks": (chunked(b"31\r\n%b\r\n1\r\nx\r\n0\r\n\r\n" % (b"x" * 49)), 200, b"50"),
    "chunks in capitals": (
        chunked(b"1\r\na\r\n0\r\n\r\n").replace(b"chunked", b"Chunked"),
        200,
        b"1",
    ),
    "trailers": (chunked(b"1\r\na\r\n0\r\nX-A: b\r\n\r\n"), 200, b"1"),
    "as many fields as there may be": (get(*[b"A: b"] * 7), 200, b"0"),
    "the largest head": (get(b"A: ".ljust(500 - len(GET) - 2, b"b")), 200, b"0"),
    "the longest target": (get(line=b"GET /" + b"a" * 99 + b" HTTP/1.1"), 200, b"0"),
    "empty lines before it": (b"\r\n\r\n" + GET, 200, b"0"),
    "as many empty lines as there may be": (b"\r\n" * 250 + GET, 200, b"0"),
    "an upgrade that nobody makes": (get(b"Connection: upgrade", b"Upgrade: h2c"), 200, b"0"),
    "an upgrade that nobody makes, with a body": (
        post(fields=b"Connection: upgrade\r\nUpgrade: h2c\r\n"),
        200,
        b"5",
    ),
    "another field before the length": (post(fields=b"A: b\r\n"), 200, b"5"),
    "an upgrade that nobody makes, with one byte": (
        post(b"1", fields=b"Connection: upgrade\r\nUpgrade: h2c\r\n"),
        200,
        b"1",
    ),
    "a port": (get(host=b"Host: x:80"), 200, b"0"),
    "an empty host": (get(host=b"Host:"), 200, b"0"),
}


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("name", ANSWERED)
def test_a_request_is_answered_however_it_is_cut(client: Client, name: str, size: int) -> None:
    sent, status, body = ANSWERED[name]
    client.send(*cut(sent, size))
    assert [(answer.status, answer.body) for answer in client.answers()] == [(status, body)]
    assert client.is_ending() is (b"HTTP/1.0" in sent)
    assert client.server.refused == {}


REFUSED = {
    "what is no HTTP": (b"\x16\x03\x01\r\n\r\n", 400, "bad-request"),
    "a word after the line": (get(line=b"GET / HTTP/1.1 x"), 400, "bad-request"),
    "an unknown method": (get(line=b"BREW / HTTP/1.1"), 501, "method-not-implemented"),
    "no version": (get(line=b"GET /"), 400, "bad-request"),
    "RTSP": (get(line=b"GET / RTSP/1.0"), 400, "bad-request"),
    "version 2": (get(line=b"GET / HTTP/2.0"), 505, "version-not-supported"),
    "version 1.2": (get(line=b"GET / HTTP/1.2"), 505, "version-not-supported"),
    "no host": (get(host=b""), 400, "bad-request"),
    "two hosts": (get(b"Host: x"), 400, "bad-request"),
    "two hosts in HTTP/1.0": (get(b"Host: x", line=b"GET / HTTP/1.0"), 400, "bad-request"),
    "a host that is none": (get(host=b"Host: a b"), 400, "bad-request"),
    "CONNECT": (get(line=b"CONNECT x:1 HTTP/1.1"), 501, "method-not-implemented"),
    "an asterisk for GET": (get(line=b"GET * HTTP/1.1"), 400, "bad-request"),
    "a target without a slash": (get(line=b"GET a HTTP/1.1"), 400, "bad-request"),
    "a fragment": (get(line=b"GET /#a HTTP/1.1"), 400, "bad-request"),
    "a fragment of an absolute target": (get(line=b"GET http://y/#a HTTP/1.1"), 400, "bad-request"),
    "an absolute target of another scheme": (
        get(line=b"GET ftp://y/ HTTP/1.1"),
        400,
        "bad-request",
    ),
    "an absolute target of a broken host": (
        get(line=b"GET http://y[/ HTTP/1.1"),
        400,
        "bad-request",
    ),
    "an absolute target and no host": (
        get(line=b"GET http://y/ HTTP/1.1", host=b""),
        400,
        "bad-request",
    ),
    "bytes over 127 in the target": (get(line=b"GET /\xe9 HTTP/1.1"), 400, "bad-request"),
    "an unknown expectation": (get(b"Expect: miracles"), 417, "expectation-failed"),
    "a length that is no number": (get(b"Content-Length: x"), 400, "bad-request"),
    "a coding that nobody has": (get(b"Transfer-Encoding: gzip"), 400, "bad-request"),
    "a coding before chunked": (
        get(b"Transfer-Encoding: gzip, chunked"),
        501,
        "coding-not-implemented",
    ),
    "two codings before chunked": (
        get(b"Transfer-Encoding: gzip, br, chunked"),
        501,
        "coding-not-implemented",
    ),
    "chunked before another coding": (
        get(b"Transfer-Encoding: chunked, gzip"),
        400,
        "bad-request",
    ),
    "chunked twice": (get(b"Transfer-Encoding: chunked, chunked"), 400, "bad-request"),
    "chunked in HTTP/1.0": (
        get(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0"),
        400,
        "bad-request",
    ),
    "a field too many": (get(*[b"A: b"] * 8), 431, "too-many-fields"),
    "a head too large by a byte": (
        get(b"A: ".ljust(500 - len(GET) - 1, b"b")),
        431,
        "header-too-large",
    ),
    "a head without an end": (b"GET / HTTP/1.1\r\nA: " + b"b" * 1000, 431, "header-too-large"),
    "empty lines, one too many": (b"\r\n" * 251 + GET, 400, "bad-request"),
    "an upgrade that nobody makes, with chunks": (
        chunked(b"0\r\n\r\n", fields=b"Connection: upgrade\r\nUpgrade: h2c\r\n"),
        400,
        "bad-request",
    ),
    "a handshake by POST": (
        get(HANDSHAKE_FIELDS[:-2], line=b"POST / HTTP/1.1", host=b""),
        400,
        "bad-request",
    ),
    "a handshake in HTTP/1.0": (
        get(HANDSHAKE_FIELDS[:-2], line=b"GET / HTTP/1.0", host=b""),
        400,
        "bad-request",
    ),
    "a handshake with a body": (
        get(HANDSHAKE_FIELDS[:-2], b"Content-Length: 5", host=b"") + b"12345",
        400,
        "bad-request",
    ),
    "a handshake with chunks": (
        get(HANDSHAKE_FIELDS[:-2], b"Transfer-Encoding: chunked", host=b"") + b"0\r\n\r\n",
        400,
        "bad-request",
    ),
    "a handshake with a target too long": (
        get(HANDSHAKE_FIELDS[:-2], line=b"GET /" + b"a" * 100 + b" HTTP/1.1", host=b""),
        414,
        "url-too-long",
    ),
    "a handshake of version 12": (
        get(HANDSHAKE_FIELDS.replace(b"13", b"12")[:-2], host=b""),
        426,
        "upgrade-required",
    ),
    "something behind a handshake": (
        get(HANDSHAKE_FIELDS[:-2], host=b"") + b"\x81\x80abcd",
        400,
        "bad-request",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("size", [7, 10_000])
def test_what_is_wrong_is_refused_below_the_application(
    client: Client, name: str, size: int
) -> None:
    sent, status, reason = REFUSED[name]
    method = "CONNECT" if sent.startswith(b"CONNECT") else "GET"
    # A handshake that is whole is handed over: only in one segment can anything be behind it.
    client.send(*cut(sent, 10_000 if name == "something behind a handshake" else size))
    assert client.statuses(method) == (status,)
    (answer,) = client.answers(method)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    # Some of these statuses may be kept by caches unless they are told otherwise.
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert abs(time.time() - parsedate_to_datetime(answer.headers["date"]).timestamp()) < 60
    assert answer.json["status"] == status
    assert client.server.refused == {reason: 1}
    assert client.server.requests == []
    assert client.transport.has_ended
    client.wait(1)
    assert not client.is_closed(), "the client may still be sending"
    assert client.wait(2 + TICK + 0.1).is_closed()


BROKEN_BODIES = {
    "a size that is none": (chunked(b"zz\r\n"), 400, "bad-request"),
    "no end of a chunk": (chunked(b"1\r\nab"), 400, "bad-request"),
    "too much beside the body": (chunked(b"1;" + b"a" * 500), 400, "chunks-too-ornate"),
    "trailers too large": (chunked(b"0\r\nA: " + b"b" * 500), 431, "trailers-too-large"),
    "a trailer that is none": (chunked(b"0\r\nA\r\n\r\n"), 400, "bad-request"),
}


@pytest.mark.parametrize("name", BROKEN_BODIES)
@pytest.mark.parametrize("size", [7, 10_000])
def test_a_body_that_breaks_off_is_refused_and_its_request_is_told(
    client: Client, name: str, size: int
) -> None:
    sent, status, reason = BROKEN_BODIES[name]
    client.send(*cut(sent, size))
    assert client.statuses() == (status,)
    assert client.server.refused == {reason: 1}
    assert [request.is_gone for request in client.server.requests] == [True]
    assert client.transport.has_ended
    assert client.wait(2 + TICK + 0.1).is_closed()


def test_a_body_that_breaks_off_after_its_answer_ends_the_connection_without_a_word(
    client: Client,
) -> None:
    client.send(chunked(b"", path=b"/early"), b"zz\r\n")
    assert client.statuses() == (200,)
    assert client.transport.has_ended


def test_a_body_that_breaks_off_in_the_middle_of_its_answer_breaks_it_off(client: Client) -> None:
    """Whatever was written now would be taken for a part of it."""
    client.send(chunked(b"", path=b"/opened"), b"zz\r\n")
    assert client.transport.was_aborted
    assert client.server.refused == {"bad-request": 1}


def test_rubbish_behind_the_last_request_of_a_client_that_ends_its_side(client: Client) -> None:
    client.send(SLOW + b"\0\r\n\r\n").end()
    client.server.application.go_on.set()
    client.wait(0)
    assert client.statuses() == (200, 400)
    assert client.is_closed()


def test_a_handshake_with_a_body_is_told_what_is_wrong(client: Client) -> None:
    client.send(get(HANDSHAKE_FIELDS[:-2], b"Content-Length: 5", host=b"") + b"12345")
    assert client.answers()[0].json["detail"] == "expected a handshake without a body"


def test_a_refusal_of_head_has_no_body(client: Client) -> None:
    client.send(get(line=b"HEAD / HTTP/1.1", host=b""))
    assert client.statuses("HEAD") == (400,)


def test_a_handshake_of_another_version_is_told_the_right_one(client: Client) -> None:
    client.send(get(HANDSHAKE_FIELDS.replace(b"13", b"12")[:-2], host=b""))
    assert client.answers()[0].headers["sec-websocket-version"] == "13"


def test_a_426_says_what_to_upgrade_to(client: Client) -> None:
    """RFC 9110 sections 15.5.22 and 7.8."""
    client.send(get(HANDSHAKE_FIELDS.replace(b"13", b"12")[:-2], host=b""))
    assert client.answers()[0].headers["upgrade"] == "websocket"
    assert b"\r\nconnection: upgrade\r\n" in client.transport.taken


def test_a_handshake_of_too_many_fields_or_a_line_too_long_is_refused() -> None:
    large = Server(header_max_bytes=100_000, header_max_fields=1000)
    for fields in ([b"A: b"] * 116, [b"A: " + b"b" * 8000]):
        client = large.connect().send(get(HANDSHAKE_FIELDS[:-2], *fields, host=b""))
        assert client.statuses() == (431,)
        assert client.answers()[0].json["type"].endswith("header-too-large")
    large.close()


def test_what_is_absolute_names_the_host_and_the_path(client: Client) -> None:
    """RFC 9112 section 3.2.2: what the target says counts."""
    client.send(get(b"A: b", line=b"GET http://other:8/a?b HTTP/1.1"))
    client.send(get(line=b"GET http://other?b HTTP/1.1"))
    first, second = client.server.requests
    assert (first.path, first.query) == ("/a", b"b")
    assert first.headers == [(b"host", b"other:8"), (b"a", b"b")]
    assert (second.path, second.query) == ("/", b"b")


def test_an_asterisk_is_a_target_of_options(client: Client) -> None:
    client.send(get(line=b"OPTIONS * HTTP/1.1"))
    assert client.statuses() == (200,)


def test_trailers_are_no_headers(client: Client) -> None:
    client.send(chunked(b"0\r\nAuthorization: b\r\n\r\n", path=b"/slow"))
    assert client.server.requests[0].headers == [
        (b"host", b"x"),
        (b"transfer-encoding", b"chunked"),
    ]


def test_a_body_is_asked_for_and_then_taken(client: Client) -> None:
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert client.transport.taken == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"ab")
    assert client.statuses() == (200,)


def test_a_client_of_http_1_0_is_not_answered_twice(client: Client) -> None:
    """RFC 9110 section 10.1.1: it knows no interim answers, and would take one for the last."""
    client.send(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert client.transport.taken == b""
    client.send(b"ab")
    assert client.statuses() == (200,)


def test_a_body_is_not_asked_for_after_its_refusal(client: Client) -> None:
    """The application begins to read when the connection has ended already."""
    client.send(chunked(b"zz\r\n", fields=b"Expect: 100-continue\r\n"))
    assert client.transport.taken.startswith(b"HTTP/1.1 400 ")
    assert [request.is_gone for request in client.server.requests] == [True]


# --- several requests


def test_requests_that_come_together_are_answered_in_order(client: Client) -> None:
    bodies = [b"x" * number for number in range(9)]
    pipeline = b"".join(
        post(body) if len(body) % 2 else chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        for body in bodies
        if body
    )
    client.send(pipeline)
    assert [answer.body for answer in client.answers()] == [b"%d" % len(one) for one in bodies[1:]]
    assert client.server.state.total_requests == 8
    assert not client.is_ending()


@pytest.mark.parametrize("size", [1, 2, 13, 1000])
def test_what_comes_ahead_waits_for_its_turn(client: Client, size: int) -> None:
    client.send(SLOW, *cut(post() + GET, size))
    assert [request.path for request in client.server.requests] == ["/slow"]
    assert not client.transport.is_reading()
    client.server.application.go_on.set()
    client.wait(0)
    assert [answer.body for answer in client.answers()] == [b"0", b"5", b"0"]
    assert client.transport.is_reading()


def test_an_answer_that_is_due_comes_before_a_refusal(client: Client) -> None:
    client.send(post() + b"\0\r\n\r\n")
    assert client.statuses() == (200, 400)
    assert client.transport.has_ended


def test_what_comes_ahead_in_pieces_is_put_together(client: Client) -> None:
    client.send(SLOW)
    # A transport may hand over what it had read before it was told to pause.
    for part in cut(GET, 9):
        client.server.call(functools.partial(client.http.data_received, part))
    client.server.application.go_on.set()
    client.wait(0)
    assert client.statuses() == (200, 200)


def test_the_limit_is_for_each_head_by_itself(client: Client) -> None:
    large = get(b"A: ".ljust(500 - len(GET) - 2, b"b"))
    client.send(GET[:10], GET[10:] + large, large[:10], large[10:] + GET)
    assert client.statuses() == (200, 200, 200, 200)


def test_empty_lines_are_counted_for_each_request(client: Client) -> None:
    for _ in range(6):
        client.send(b"\r\n" * 100 + GET)
    assert client.statuses() == (200,) * 6


def test_a_handshake_that_is_handed_over_is_no_head_that_is_late(server: Server) -> None:
    async def accept(_: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    server.application.socket = accept
    client = server.connect().send(get(HANDSHAKE_FIELDS[:-2], host=b""))
    assert client.wait(15).transport.taken.startswith(b"HTTP/1.1 101 ")
    assert server.refused == {}
    assert not client.is_ending()


def test_a_handshake_is_handed_over(server: Server) -> None:
    async def accept(_: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    server.application.socket = accept
    length = server.surroundings.limits.url_max_bytes
    line = b"GET /".ljust(4 + length, b"a") + b" HTTP/1.1"
    client = server.connect().send(get(HANDSHAKE_FIELDS[:-2], line=line, host=b""))
    assert client.transport.taken.startswith(b"HTTP/1.1 101 ")
    assert client.transport.protocol is not client.http


def test_a_handshake_may_have_as_many_fields_and_as_long_a_line_as_its_parser_takes() -> None:
    large = Server(header_max_bytes=100_000, header_max_fields=1000)

    async def accept(_: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    large.application.socket = accept
    for fields in ([b"A: b"] * 115, [b"A: " + b"b" * 7999]):
        client = large.connect().send(get(HANDSHAKE_FIELDS[:-2], *fields, host=b""))
        assert client.transport.taken.startswith(b"HTTP/1.1 101 ")
    large.close()


def test_the_host_of_every_request_is_looked_at(client: Client) -> None:
    client.send(GET, GET, get(host=b"Host: a b"))
    assert client.statuses() == (200, 200, 400)


def test_a_body_that_nobody_wants_is_read_away(client: Client) -> None:
    client.send(post(b"", path=b"/early").replace(b"Length: 0", b"Length: 5"))
    assert client.statuses() == (200,)
    assert not client.is_ending()
    client.send(b"123", b"45" + GET)
    assert client.statuses() == (200, 200)


def test_chunks_that_nobody_wants_are_read_away(client: Client) -> None:
    client.send(chunked(b"", path=b"/early"))
    assert client.statuses() == (200,)
    client.send(b"3\r\nabc\r\n0\r\n", b"\r\n" + GET)
    assert client.statuses() == (200, 200)


def test_connection_close_is_the_last_request(client: Client) -> None:
    client.send(CLOSE + GET)
    assert client.statuses() == (200,)
    assert client.is_closed()
    assert len(client.server.requests) == 1


def test_close_of_the_application_ends_in_stages_when_a_body_is_still_coming(
    client: Client,
) -> None:
    """RFC 9112 section 9.6: closing at once would reset the connection."""
    early = post(b"", path=b"/early", fields=b"Connection: close\r\n")
    client.send(early.replace(b"Length: 0", b"Length: 40"), b"1")
    assert client.statuses() == (200,)
    assert client.transport.has_ended
    assert not client.is_closed()
    assert client.wait(2 + TICK + 0.1).is_closed()


def test_close_of_the_application_is_at_once_when_all_has_come(client: Client) -> None:
    client.send(post(path=b"/close"))
    assert client.statuses() == (200,)
    assert client.is_closed()


# --- too much


def test_a_body_over_the_limit_reaches_the_application_no_further(client: Client) -> None:
    client.send(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 51\r\n\r\n", b"x" * 51)
    assert client.server.requests[0].body == b""


def test_chunks_over_the_limit_are_handed_over_once_and_then_dropped(client: Client) -> None:
    """The application has seen enough to say that it is too much."""
    client.send(chunked(b"33\r\n%b\r\n" % (b"x" * 51)), b"20\r\n" + b"y" * 32)
    assert client.server.requests[0].body == b"x" * 51
    assert client.server.requests[0].is_gone is False


def test_chunks_over_the_limit_after_the_answer_end_the_connection(client: Client) -> None:
    client.send(chunked(b"", path=b"/early"), b"33\r\n%b\r\n" % (b"x" * 51))
    assert client.statuses() == (200,)
    assert client.transport.has_ended


def test_a_body_over_the_limit_ends_with_its_answer(client: Client) -> None:
    client.send(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 51\r\n\r\n")
    assert client.statuses() == (200,)
    assert client.transport.has_ended


def test_after_a_refusal_so_much_is_read_and_no_more(client: Client) -> None:
    client.send(b"\0\r\n\r\n")
    client.send(b"x" * LINGER_BYTES)
    assert not client.is_closed()
    client.send(b"x")
    assert client.is_closed()


def test_a_surplus_is_not_read_while_its_answer_is_made(client: Client) -> None:
    client.send(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
    client.send(b"x" * LINGER_BYTES)
    assert client.transport.is_reading()
    client.send(b"x")
    assert not client.transport.is_reading()
    assert not client.is_closed()


def test_an_endless_body_after_its_answer_is_dropped(client: Client) -> None:
    client.send(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
    client.send(b"x" * (LINGER_BYTES + 1))
    assert client.is_closed()


# --- too slow

STALLS = {
    "nothing": (b"", 10, None, None),
    "empty lines": (b"\r\n\r\n", 10, None, None),
    "a head": (b"GET / HTTP/1.1\r\n", 10, 408, "header-too-slow"),
    "the begin of a head": (b"G", 10, 408, "header-too-slow"),
    "idle": (GET, 60, 200, None),
    "empty lines when idle": (GET + b"\r\n", 60, 200, None),
    "a body": (post(b"")[:-5] + b"5\r\n\r\n12", 20.5, 408, "body-too-slow"),
    "chunks": (chunked(b"1\r\na\r\n"), 20.5, 408, "body-too-slow"),
    "trailers": (chunked(b"0\r\n"), 20.5, 408, "body-too-slow"),
    "a surplus": (
        b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\n",
        20.5,
        408,
        "body-too-slow",
    ),
    "an answer": (SLOW, 30, 503, "answer-too-slow"),
    "an answer to a body": (post(path=b"/slow"), 30, 503, "answer-too-slow"),
    "an answer to chunks": (chunked(b"0\r\n\r\n", path=b"/slow"), 30, 503, "answer-too-slow"),
}


@pytest.mark.parametrize("name", STALLS)
def test_every_state_has_its_time_and_its_end(client: Client, name: str) -> None:
    sent, seconds, status, reason = STALLS[name]
    client.send(sent)
    client.wait(seconds - 0.25)
    assert not client.is_ending()
    client.wait(TICK + 0.5)
    assert client.is_ending()
    assert client.statuses() == ((status,) if status else ())
    assert client.server.refused == ({reason: 1} if reason else {})
    assert client.wait(2 + TICK + 0.25).is_closed()


def test_a_head_that_drips_has_its_time_from_its_first_byte(client: Client) -> None:
    client.send(GET).wait(50).send(b"GET / HTTP/1.1\r\nA:")
    for _ in range(9):
        client.wait(1).send(b"b")
    assert client.statuses() == (200,)
    client.wait(1 + TICK)
    assert client.statuses() == (200, 408)


def test_the_first_head_has_its_time_from_the_connections_begin(client: Client) -> None:
    client.wait(9).send(b"G").wait(1 + TICK)
    assert client.statuses() == (408,)


def test_the_next_head_has_its_time_from_its_own_first_byte(client: Client) -> None:
    client.send(GET)
    client.wait(55)
    client.send(b"GET / HT")
    client.wait(9.5)
    assert client.statuses() == (200,)
    client.wait(1 + TICK)
    assert client.statuses() == (200, 408)


def test_an_empty_line_does_not_give_a_connection_more_time(client: Client) -> None:
    client.send(GET)
    client.wait(50).send(b"\r\n").wait(11)
    assert client.is_closed()


def test_a_body_after_its_answer_has_its_time_too(client: Client) -> None:
    client.send(chunked(b"", path=b"/early")).wait(20)
    assert not client.is_ending()
    client.wait(1 + TICK)
    assert client.statuses() == (200,)
    assert client.server.refused == {"body-too-slow": 1}
    assert client.wait(2 + TICK).is_closed()


def test_a_body_in_time_gives_its_answer_a_time_of_its_own(client: Client) -> None:
    client.send(post(b"", path=b"/slow").replace(b"Length: 0", b"Length: 2"), b"1")
    client.wait(20)
    client.send(b"2")
    client.wait(29)
    assert client.statuses() == ()
    client.wait(1 + TICK + 0.1)
    assert client.statuses() == (503,)


def test_a_request_that_was_too_slow_is_told_so(client: Client) -> None:
    client.send(post(b"").replace(b"Length: 0", b"Length: 2")).wait(21 + TICK)
    assert client.server.requests[0].is_gone


def test_an_answer_that_comes_too_late_is_not_sent(client: Client) -> None:
    client.send(SLOW).wait(30 + TICK)
    client.server.application.go_on.set()
    client.wait(0.1)
    assert client.statuses() == (503,)


def test_an_answer_that_was_begun_and_does_not_go_on_is_broken_off(client: Client) -> None:
    """There is no other way to tell a client that it is not whole (RFC 9112 section 8)."""
    client.send(BEGUN).wait(30 + TICK + 0.1)
    assert client.transport.was_aborted
    assert client.server.refused == {"answer-not-taken": 1}


@pytest.mark.parametrize("sent", [BIG, post(path=b"/big")], ids=["GET", "POST"])
def test_an_answer_that_is_not_taken_is_dropped(client: Client, sent: bytes) -> None:
    client.transport.is_stuck = True
    client.send(sent)
    assert HIGH_WATER < client.transport.get_write_buffer_size() < 2 * HIGH_WATER
    client.wait(30 - 0.25)
    assert not client.is_closed()
    client.wait(TICK + 11)
    assert client.transport.was_aborted
    assert client.server.refused == {"answer-not-taken": 1}


def test_the_time_to_take_an_answer_begins_when_it_is_not_taken() -> None:
    server = Server(write_timeout=5.0)
    client = server.connect()
    client.transport.is_stuck = True
    client.send(BIG).wait(4.5)
    assert not client.is_closed()
    client.wait(0.5 + TICK)
    assert client.transport.was_aborted
    server.close()


def test_an_answer_that_is_taken_again_has_a_time_of_its_own() -> None:
    server = Server(write_timeout=5.0)
    client = server.connect()
    client.transport.is_stuck = True
    client.send(BIG.replace(b"/big", b"/half")).wait(4).read().wait(25)
    assert not client.is_closed()
    server.application.go_on.set()
    client.wait(0)
    assert len(client.answers()[0].body) == 200_000
    server.close()


def test_an_answer_in_one_piece_that_is_not_taken_holds_up_the_next(client: Client) -> None:
    client.transport.is_stuck = True
    client.send(BIG.replace(b"/big", b"/once") + GET)
    assert not client.transport.is_reading()
    assert len(client.server.requests) == 1
    client.wait(39)
    assert not client.is_closed()
    client.read()
    assert client.statuses() == (200, 200)
    assert client.transport.is_reading()
    client.wait(50)
    assert not client.is_ending()


def test_an_answer_in_one_piece_that_is_not_taken_is_dropped(client: Client) -> None:
    client.transport.is_stuck = True
    client.send(BIG.replace(b"/big", b"/once")).wait(39)
    assert not client.is_closed()
    client.wait(1 + TICK)
    assert client.transport.was_aborted


@pytest.mark.parametrize("ends", [False, True], ids=["Connection: close", "end of its side"])
def test_a_last_answer_has_its_time_to_be_taken(client: Client, ends: bool) -> None:
    client.transport.is_stuck = True
    if ends:
        client.send(SLOW).end()
        client.server.application.go_on.set()
    else:
        client.send(CLOSE)
    client.wait(38)
    assert not client.is_closed()
    client.wait(2 + TICK)
    assert client.transport.was_aborted


def test_a_last_answer_before_half_a_request_has_its_time_to_be_taken(client: Client) -> None:
    client.transport.is_stuck = True
    client.send(SLOW + b"GET / HT").end()
    client.server.application.go_on.set()
    client.wait(38)
    assert not client.is_closed()
    client.wait(2 + TICK)
    assert client.transport.was_aborted


def test_an_answer_that_is_taken_in_time_arrives_whole(client: Client) -> None:
    client.transport.is_stuck = True
    client.send(BIG).wait(25).read()
    client.wait(25)
    assert len(client.answers()[0].body) == 200_000
    assert client.server.refused == {}
    assert not client.is_ending()


def test_a_small_answer_that_is_not_taken_is_dropped_too(client: Client) -> None:
    client.transport.is_stuck = True
    client.send(GET).wait(39.5)
    assert not client.is_closed()
    client.wait(0.5 + TICK)
    assert client.transport.was_aborted
    assert client.server.refused == {"answer-not-taken": 1}


def test_a_small_answer_that_is_taken_late_leaves_the_connection_its_time(client: Client) -> None:
    client.transport.is_stuck = True
    client.send(GET).wait(39).read().wait(20)
    assert not client.is_ending()
    client.wait(1 + TICK)
    assert client.is_closed()
    assert client.server.refused == {}


def test_whoever_does_not_take_answers_gets_no_more_of_them(client: Client) -> None:
    client.transport.is_stuck = True
    client.send(BIG * 3)
    client.read()
    client.transport.is_stuck = False
    client.read()
    assert client.statuses() == (200, 200, 200)
    assert client.transport.is_reading()


def test_a_refused_client_that_does_not_read_is_dropped(client: Client) -> None:
    client.transport.is_stuck = True
    client.send(b"\0\r\n\r\n").wait(2 + TICK + 0.1)
    assert client.transport.was_aborted


# --- clients that end their side


@pytest.mark.parametrize("sent", [GET, post(), chunked(b"0\r\n\r\n"), SLOW])
def test_a_client_that_has_asked_and_ends_its_side_is_answered(client: Client, sent: bytes) -> None:
    client.send(sent).end()
    client.server.application.go_on.set()
    client.wait(0)
    assert client.statuses() == (200,)
    assert client.is_closed()


def test_a_pipeline_of_a_client_that_ends_its_side_is_answered(client: Client) -> None:
    client.send(SLOW + post() + GET).end()
    assert not client.is_closed()
    client.server.application.go_on.set()
    client.wait(0)
    assert client.statuses() == (200, 200, 200)
    assert client.is_closed()


def test_half_a_request_of_a_client_that_ends_its_side_is_nothing(client: Client) -> None:
    client.send(SLOW + b"GET / HT").end()
    client.server.application.go_on.set()
    client.wait(0)
    assert client.statuses() == (200,)
    assert client.is_closed()


@pytest.mark.parametrize("sent", [b"", b"GET / HT", GET, post()[:-1]])
def test_a_client_that_ends_its_side_and_is_owed_nothing_is_closed(
    client: Client, sent: bytes
) -> None:
    client.send(sent).end()
    assert client.is_closed()


def test_a_client_that_ends_its_side_and_takes_nothing_is_dropped(client: Client) -> None:
    client.transport.is_stuck = True
    client.send(SLOW).end()
    client.server.application.go_on.set()
    client.wait(40 + TICK + 0.1)
    assert client.transport.was_aborted


# --- the reserve

LIVE = get(line=b"GET /health/live HTTP/1.1")


def test_a_connection_too_many_is_for_a_probe_alone(server: Server) -> None:
    held = [server.connect() for _ in range(3)]
    probe = server.connect().send(LIVE)
    assert probe.statuses() == (200,)
    assert probe.answers()[0].headers["connection"] == "close"
    assert probe.is_closed()
    other = server.connect().send(GET)
    assert other.statuses() == (503,)
    assert other.answers()[0].headers["retry-after"] == "1"
    assert server.refused == {"too-many-connections": 1}
    held[0].send(CLOSE)
    other.wait(3)
    assert server.connect().send(GET).statuses() == (200,)


def test_a_reserved_connection_has_two_seconds(server: Server) -> None:
    held = [server.connect() for _ in range(3)]
    idle, dripping = server.connect(), server.connect().send(b"GET /he")
    idle.wait(1.75)
    assert not idle.is_ending()
    assert not dripping.is_ending()
    idle.wait(TICK + 0.25)
    assert idle.is_ending()
    assert dripping.statuses() == (408,)
    assert not held[0].is_ending()


def test_the_newest_displaces_the_oldest_of_the_reserve(server: Server) -> None:
    held = [server.connect() for _ in range(3)]
    reserved = [server.connect() for _ in range(RESERVED_CONNECTIONS)]
    assert not any(one.is_closed() for one in reserved)
    newest = server.connect()
    assert [one.is_closed() for one in reserved] == [True] + [False] * (RESERVED_CONNECTIONS - 1)
    assert server.refused == {"too-many-connections": 1}
    assert newest.send(LIVE).statuses() == (200,)
    assert not any(one.is_closed() for one in held)


def test_the_reserve_takes_no_ordinary_slot(server: Server) -> None:
    held = [server.connect() for _ in range(3)]
    reserved = [server.connect() for _ in range(5)]
    held[0].send(CLOSE)
    assert server.connect().send(GET).statuses() == (200,)
    assert not any(one.is_closed() for one in reserved)


def test_a_slot_of_the_reserve_is_free_again(server: Server) -> None:
    held = [server.connect() for _ in range(3)]
    for _ in range(RESERVED_CONNECTIONS * 2):
        assert server.connect().send(LIVE).statuses() == (200,)
    assert server.refused == {}
    assert not any(one.is_closed() for one in held)


# --- the end of the server


@pytest.mark.parametrize("sent", [b"", b"GET / HT", GET, b"\0\r\n\r\n"])
def test_whoever_is_owed_nothing_is_closed_at_the_end(client: Client, sent: bytes) -> None:
    client.send(sent)
    client.server.call(client.http.shutdown)
    assert client.is_closed()


def test_whoever_has_asked_is_answered_at_the_end(client: Client) -> None:
    client.send(SLOW + GET)
    client.server.call(client.http.shutdown)
    assert not client.is_ending()
    client.server.application.go_on.set()
    client.wait(0)
    (answer,) = client.answers()
    assert answer.headers["connection"] == "close"
    assert client.is_closed()


def test_a_client_that_does_not_read_is_dropped_at_the_end(client: Client) -> None:
    client.transport.is_stuck = True
    client.send(GET)
    client.server.call(client.http.shutdown)
    client.wait(1)
    assert not client.is_closed()
    client.wait(1 + TICK + 0.1)
    assert client.transport.was_aborted


def test_the_clock_forgets_who_has_gone(client: Client) -> None:
    client.send(CLOSE).wait(100)
    assert client.is_closed()
    assert client.server.refused == {}
    # Nothing is to be looked at, so nothing is timed.
    assert not client.server.loop._scheduled  # type: ignore[attr-defined]
