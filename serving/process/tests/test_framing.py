"""Where a message ends: held against httptools, which reads the same bytes another way."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.process.connection import Refusal
from serving.process.framing import HOST, Chunks, fault_of_request_line

LIMIT = 1024
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class Judge:
    """Says when httptools has seen the end of a message."""

    def __init__(self) -> None:
        self.body = b""
        self.whole = 0
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(HEAD)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole += 1


def encoded(chunks: list[bytes], trailers: list[bytes]) -> bytes:
    """A chunked body on the wire."""
    parts = [b"%x;ext=%d\r\n%b\r\n" % (len(one), len(one), one) for one in chunks if one]
    return b"".join([*parts, b"0\r\n", *(b"X-T: %b\r\n" % one for one in trailers), b"\r\n"])


@given(
    st.lists(st.binary(max_size=40), max_size=8),
    st.lists(st.from_regex(rb"[a-z]{0,9}", fullmatch=True), max_size=4),
    st.lists(st.integers(0, 400), max_size=6),
)
def test_both_parsers_see_the_same_end_however_it_is_cut(
    chunks: list[bytes], trailers: list[bytes], cuts: list[int]
) -> None:
    wire = encoded(chunks, trailers)
    behind = b"GET / HTTP/1.1\r\n"
    data = wire + behind
    ours, judge = Chunks(LIMIT), Judge()
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    at = 0
    for end in places[1:]:
        piece = data[at:end]
        taken = ours.take(piece)
        judge.parser.feed_data(piece[:taken])
        assert bool(judge.whole) is ours.done
        assert len(judge.body) == ours.arrived
        at += taken
        if ours.done:
            break
    assert ours.done
    assert data[at:] == behind
    assert judge.body == b"".join(chunks)


@given(st.binary(max_size=200))
def test_what_we_take_for_the_end_is_never_behind_that_of_the_parser(data: bytes) -> None:
    """The dangerous difference: bytes that one takes for a body, the other for a request."""
    ours, judge = Chunks(LIMIT), Judge()
    try:
        taken = ours.take(data)
    except Refusal:
        return
    try:
        judge.parser.feed_data(data[:taken])
    except httptools.HttpParserError:
        return
    assert bool(judge.whole) is ours.done


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"1;" + b"a" * 2000, 400),
        (b"0" * 2000, 400),
        (b"".join(b"1;%b\r\n \r\n" % (b"a" * 100) for _ in range(20)), 400),
        (b"0\r\n" + b"X-A: b\r\n" * 200, 431),
        (b"0\r\nX-A: " + b"b" * 2000, 431),
        (b"zz\r\n", 400),
        (b"\r\n", 400),
        (b"5\n", 400),
    ],
)
def test_too_much_beside_the_body_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(Refusal) as caught:
        Chunks(LIMIT).take(data)
    assert caught.value.status == status
    chunks = Chunks(LIMIT)
    with pytest.raises(Refusal):
        for byte in data:
            chunks.take(bytes([byte]))


def test_the_bytes_of_a_body_are_not_counted_as_ornaments() -> None:
    chunks = Chunks(LIMIT)
    for _ in range(5000):
        chunks.take(b"1\r\nx\r\n")
    assert chunks.arrived == 5000


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET / HTTP/1.1", None),
        (b"GET / HTTP/1.0", None),
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/2", 505),
        (b"GET / HTTP/1.2", 505),
        (b"GET / HTTP/1.", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET / RTSP/1.0", 400),
        (b"GET /", 400),
        (b"", 400),
    ],
)
def test_a_request_line_is_right_or_has_a_status(line: bytes, status: int | None) -> None:
    fault = fault_of_request_line(line)
    assert (fault.status if fault else None) == status


@pytest.mark.parametrize(
    ("host", "right"),
    [
        (b"example.org", True),
        (b"example.org:8000", True),
        (b"[::1]:80", True),
        (b"", True),
        (b"a,b", False),
        (b"a b", False),
        (b"a/b", False),
        (b"a@b", False),
        (b"[::1", False),
        (b"a:b", False),
        (b"b\xfc", False),
    ],
)
def test_a_host_is_a_name_and_a_port(host: bytes, right: bool) -> None:
    assert bool(HOST.fullmatch(host)) is right


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (b"0\r\nA: ", b"\r\n\r\n", "trailers-too-large"),
        (b"1;a=", b"\r\nx\r\n0\r\n\r\n", "chunks-too-ornate"),
    ],
)
def test_what_stands_beside_a_body_may_be_as_large_as_the_limit(
    before: bytes, after: bytes, reason: str
) -> None:
    counted = before.removeprefix(b"0\r\n") + (b"\r\n\r\n" if b"A" in before else b"\r\n")
    filling = b"b" * (100 - len(counted))
    chunks = Chunks(100)
    assert chunks.take(before + filling + after) == len(before + filling + after)
    assert chunks.done
    with pytest.raises(Refusal) as caught:
        Chunks(100).take(before + filling + b"b" + after)
    assert caught.value.slug == reason
