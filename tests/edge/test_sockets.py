"""The handshake and the frames of a WebSocket, right and wrong: RFC 6455, section by section."""

import contextlib
import time
from dataclasses import dataclass

import pytest

from backend.tests.process import Running
from tests.edge.frames import (
    ACCEPT,
    BINARY,
    CLOSE,
    CONTINUATION,
    HANDSHAKE,
    PING,
    PONG,
    TEXT,
    Socket,
    close,
    frame,
)
from tests.edge.wire import converse


def handshake(*fields: bytes, without: bytes = b"-", method: bytes = b"GET") -> bytes:
    """The handshake, without the field of this name, with others."""
    lines = HANDSHAKE.replace(b"GET", method, 1).split(b"\r\n")[:-2]
    kept = [line for line in lines if not line.lower().startswith(without.lower() + b":")]
    return b"\r\n".join([*kept, *fields, b"", b""])


HANDSHAKES = {
    "by POST": ("4.1", handshake(method=b"POST"), (400,)),
    "by HEAD": ("4.1", handshake(method=b"HEAD"), (400,)),
    "in HTTP/1.0": ("4.1", HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.0"), (400,)),
    "with a body": ("4.1", handshake(b"Content-Length: 5") + b"12345", (400,)),
    "with chunks": ("4.1", handshake(b"Transfer-Encoding: chunked") + b"0\r\n\r\n", (400,)),
    "without a host": ("4.2.1", handshake(without=b"Host"), (400,)),
    "without a key": ("4.2.1", handshake(without=b"Sec-WebSocket-Key"), (400,)),
    "with a short key": (
        "4.2.1",
        handshake(b"Sec-WebSocket-Key: YQ==", without=b"Sec-WebSocket-Key"),
        (400,),
    ),
    "with a key that is not base64": (
        "4.2.1",
        handshake(b"Sec-WebSocket-Key: ********", without=b"Sec-WebSocket-Key"),
        (400,),
    ),
    "with two keys": ("4.2.1", handshake(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), (400,)),
    "without a version": ("4.2.1", handshake(without=b"Sec-WebSocket-Version"), (400, 426)),
    "of version 12": (
        "4.4",
        handshake(b"Sec-WebSocket-Version: 12", without=b"Sec-WebSocket-Version"),
        (426,),
    ),
    "of no version": (
        "4.4",
        handshake(b"Sec-WebSocket-Version: x", without=b"Sec-WebSocket-Version"),
        (400, 426),
    ),
    "from a broken origin": ("10.2", handshake(b"Origin: http://["), (403,)),
    "from another broken origin": ("10.2", handshake(b"Origin: http://x:99999999"), (403,)),
    "from an origin with a wild port": ("10.2", handshake(b"Origin: http://x:y"), (403,)),
    "from nowhere": ("10.2", handshake(b"Origin: null"), (403,)),
    "from an empty origin": ("10.2", handshake(b"Origin:"), (403,)),
    "from an origin that ends with the host": ("10.2", handshake(b"Origin: http://evil-x"), (403,)),
    "from an origin that begins with the host": (
        "10.2",
        handshake(b"Origin: http://x.evil.example"),
        (403,),
    ),
    "from an origin with a user": ("10.2", handshake(b"Origin: http://x@evil.example"), (403,)),
    "from two origins": (
        "10.2",
        handshake(b"Origin: http://x", b"Origin: http://evil"),
        (400, 403),
    ),
    "with bytes over 127 in the origin": ("10.2", handshake(b"Origin: http://\xe9"), (403,)),
    "with 300 fields": ("6585 5", handshake(*[b"X-A: b"] * 300), (431,)),
    "with a line of 9 KB": ("6585 5", handshake(b"X-A: " + b"b" * 9000), (431,)),
    "to nowhere": ("9110 15.5.5", HANDSHAKE.replace(b"/ws/todos", b"/nowhere"), (403, 404)),
    "with bytes over 127 in the target": (
        "9112 3.2",
        HANDSHAKE.replace(b"/ws/todos", b"/ws/todos?a=\xff"),
        (400,),
    ),
    "with a number that is none": (
        "9110 15.5.21",
        HANDSHAKE.replace(b"/ws/todos", b"/ws/todos?last_event_id=x"),
        (422,),
    ),
    "with a number that is too large": (
        "9110 15.5.21",
        HANDSHAKE.replace(b"/ws/todos", b"/ws/todos?last_event_id=" + b"9" * 30),
        (422,),
    ),
    "with a target over the limit": (
        "9110 15.5.15",
        HANDSHAKE.replace(b"/ws/todos", b"/ws/todos?a=" + b"9" * 2000),
        (414,),
    ),
    "with odd percents": (
        "9110 15.5.5",
        HANDSHAKE.replace(b"/ws/todos", b"/ws/%ff%00"),
        (403, 404),
    ),
}


@pytest.mark.parametrize("name", HANDSHAKES)
def test_a_handshake_that_is_wrong_is_refused(server: Running, name: str) -> None:
    section, sent, right = HANDSHAKES[name]
    method = "HEAD" if sent.startswith(b"HEAD") else "GET"
    said = converse(server.port, sent, methods=(method,))
    assert len(said.answers) == 1
    assert said.answers[0].status in right, section
    if method != "HEAD":
        assert said.answers[0].headers["content-type"] == "application/problem+json"
    assert said.closed
    if said.statuses == (426,):
        assert said.answers[0].headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (b"Origin: http://x",),
        (b"X-A: \xe9",),
        (b"Cookie: a=" + b"b" * 2000,),
        (b"Sec-WebSocket-Protocol: todo.v1, other",),
        (b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",),
    ],
    ids=["plain", "own origin", "bytes over 127", "cookie", "subprotocol", "extension"],
)
def test_a_handshake_that_is_right_is_accepted(server: Running, fields: tuple[bytes, ...]) -> None:
    with Socket(server.port, handshake(*fields)) as client:
        assert client.status == 101
        assert f"sec-websocket-accept: {ACCEPT}" in client.head.decode().lower().replace(
            ACCEPT.lower(), ACCEPT
        )
        hello = client.next()
        assert hello is not None
        assert hello.opcode == TEXT
        client.send(close(1000))
        assert client.until_close() is not None


def test_a_client_that_does_not_wait_for_the_handshake_is_refused(server: Running) -> None:
    """RFC 6455 section 4.1: it MUST wait for the response before it sends further data."""
    said = converse(server.port, HANDSHAKE + frame(PING, b"early"))
    assert said.statuses == (400,)
    assert said.closed


@dataclass(frozen=True)
class Case:
    """What is sent, the close codes that are right, and the section that says so."""

    section: str
    sent: bytes
    right: tuple[int | None, ...]


LARGE = b"x" * 5000

FRAMES = {
    "not masked": Case("5.1", frame(TEXT, b"a", masked=False), (1002,)),
    "a ping that is not masked": Case("5.1", frame(PING, b"a", masked=False), (1002,)),
    **{f"RSV {bits}": Case("5.2", frame(TEXT, b"a", rsv=bits), (1002,)) for bits in (1, 2, 4)},
    **{
        f"opcode {code}": Case("5.2", frame(code, b"a"), (1002,))
        for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    },
    "a ping in fragments": Case("5.4", frame(PING, b"a", fin=False), (1002,)),
    "a close in fragments": Case("5.4", frame(CLOSE, b"\x03\xe8", fin=False), (1002,)),
    "a large ping": Case("5.5", frame(PING, b"a" * 126), (1002,)),
    "a large close": Case("5.5", close(1000, b"a" * 124), (1002,)),
    "a continuation of nothing": Case("5.4", frame(CONTINUATION, b"a"), (1002,)),
    "a message within a message": Case(
        "5.4", frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), (1002,)
    ),
    "binary": Case("7.4.1", frame(BINARY, b"\0\1"), (1003,)),
    "empty binary": Case("7.4.1", frame(BINARY), (1003,)),
    "binary in fragments": Case(
        "7.4.1", frame(BINARY, b"a", fin=False) + frame(CONTINUATION, b"b"), (1003,)
    ),
    "text that is not UTF-8": Case("8.1", frame(TEXT, b"\xff"), (1007,)),
    "text that ends in half a character": Case("8.1", frame(TEXT, b"\xe2\x82"), (1007,)),
    "a surrogate": Case("8.1", frame(TEXT, b"\xed\xa0\x80"), (1007,)),
    "fragments that are not UTF-8": Case(
        "8.1", frame(TEXT, b"\xe2", fin=False) + frame(CONTINUATION, b"a"), (1007,)
    ),
    "text over the limit": Case("7.4.1", frame(TEXT, LARGE), (1009,)),
    "a length of 2^32": Case("7.4.1", frame(TEXT, b"", length=1 << 32), (1009,)),
    "a length of 2^63 - 1": Case("7.4.1", frame(TEXT, b"", length=(1 << 63) - 1), (1009,)),
    "a length of 2^63": Case("5.2", frame(TEXT, b"", length=1 << 63), (1002, 1009)),
    "fragments over the limit": Case(
        "7.4.1",
        frame(TEXT, b"x" * 3000, fin=False) + frame(CONTINUATION, b"x" * 3000),
        (1009,),
    ),
    "close without a code": Case("5.5.1", frame(CLOSE), (None, 1000)),
    "close with half a code": Case("5.5.1", frame(CLOSE, b"\x03"), (1002,)),
    "close with a reason that is not UTF-8": Case("5.5.1", close(1000, b"\xff"), (1002, 1007)),
    **{
        f"close {code}": Case("7.4", close(code), (1002,))
        for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    },
    **{
        f"close {code}, which is right": Case("5.5.1", close(code), (code, 1000))
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999)
    },
}


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("apart", [False, True], ids=["whole", "byte by byte"])
def test_a_frame_gets_the_close_code_that_is_right(server: Running, name: str, apart: bool) -> None:
    case = FRAMES[name]
    with Socket(server.port) as client:
        assert client.next() is not None
        with contextlib.suppress(ConnectionError):
            if apart and len(case.sent) < 300:
                for byte in case.sent:
                    client.send(bytes([byte]))
                    time.sleep(0.0003)
            else:
                client.send(case.sent)
        closed = client.until_close()
        assert closed is not None, "no close frame"
        assert closed.code in case.right, case.section
        with contextlib.suppress(ConnectionError):
            client.send(close(1000))
        assert client.next() is None


@pytest.mark.parametrize("payload", [b"", b"a", b"\xff\0", b"a" * 125])
def test_a_ping_is_answered_with_its_payload(server: Running, payload: bytes) -> None:
    """RFC 6455 section 5.5.3; between the fragments of a message too (5.4)."""
    with Socket(server.port) as client:
        assert client.next() is not None
        client.send(frame(TEXT, b"a", fin=False) + frame(PING, payload))
        pong = client.next()
        assert pong is not None
        assert (pong.opcode, pong.payload) == (PONG, payload)
        client.send(frame(CONTINUATION, b"b") + frame(PONG, b"unasked") + frame(PING))
        assert client.next() is not None
        client.send(close(1000))
        assert client.until_close() is not None


def test_frames_after_a_close_are_ignored(server: Running) -> None:
    """RFC 6455 section 5.5.1."""
    with Socket(server.port) as client:
        assert client.next() is not None
        client.send(close(1000) + frame(TEXT, b"a") + frame(PING, b"b") + b"\xff\xff\xff")
        closed = client.until_close()
        assert closed is not None
        assert closed.code == 1000
        assert client.next() is None


FLOODS = {
    "pings": frame(PING, b"a" * 125),
    "empty pings": frame(PING),
    "pongs": frame(PONG),
    "messages": frame(TEXT, b"a"),
    "empty messages": frame(TEXT),
    "empty fragments": frame(CONTINUATION, fin=False),
    "fragments": frame(CONTINUATION, b"a", fin=False),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_a_violation_of_policy(server: Running, name: str) -> None:
    """RFC 6455 section 7.4.1: 1008. Somebody who has a key may not flood either."""
    start = frame(TEXT, fin=False) if "fragments" in name else b""
    with Socket(server.port) as client:
        assert client.next() is not None
        with contextlib.suppress(ConnectionError):
            client.send(start + FLOODS[name] * 2000)
        closed = client.until_close()
        assert closed is not None
        # A fragmented message may meet the limit of its size first.
        assert closed.code in ({1008, 1009} if name == "fragments" else {1008})
        assert client.next() is None


def test_a_client_that_talks_little_may_stay(server: Running) -> None:
    with Socket(server.port) as client:
        assert client.next() is not None
        for _ in range(20):
            client.send(frame(TEXT, b"still here") + frame(PING, b"x") + frame(PONG))
            pong = client.next()
            assert pong is not None
            assert pong.opcode == PONG
        client.send(close(1000))
        assert client.until_close() is not None
