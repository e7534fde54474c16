"""The life of a WebSocket, in memory: handshake, frames, and the ways in which it ends.

`//tests/edge` says the same of the whole service through sockets, frame by frame of RFC 6455.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from uvicorn.protocols.utils import ClientDisconnected
from websockets.frames import Frame, Opcode

from serving.process.connection import LINGER_BYTES, LINGER_SECONDS
from serving.process.extension import CLOSE_NOW
from serving.process.tests.memory import Client, Receive, Send, Server

TICK = 0.5
FIELDS = b"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


def handshake(path: bytes = b"/", fields: bytes = FIELDS + KEY) -> bytes:
    return b"GET %b HTTP/1.1\r\n%b\r\n" % (path, fields)


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    """A frame as a client sends it."""
    return Frame(opcode, data, fin=fin).serialize(mask=True)


class Feed:
    """The application: accepts, remembers what comes, and does what it is told."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.go_on = asyncio.Event()
        self.scope: dict[str, Any] = {}
        self.send: Send | None = None
        self.has_ended = False

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.scope, self.send = scope, send
        assert (await receive())["type"] == "websocket.connect"
        if scope["path"] == "/refused":
            await send({"type": "websocket.close"})
            return
        if scope["path"] == "/denied":
            await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"no"})
            return
        if scope["path"] == "/asking":
            self.events.append(await receive())
            return
        if scope["path"] == "/slow":
            await self.go_on.wait()
        await send({"type": "websocket.accept"})
        if scope["path"] == "/deaf":
            await self.go_on.wait()
        while True:
            event = await receive()
            self.events.append(event)
            if event["type"] == "websocket.disconnect":
                self.has_ended = True
                return
            if event.get("text") == "close":
                await send({"type": "websocket.close", "code": 3000, "reason": "told to"})


@pytest.fixture
def server(caplog: pytest.LogCaptureFixture) -> Iterator[Server]:
    made = Server()
    made.application.socket = Feed()
    yield made
    complaints = [one for one in caplog.get_records("call") if one.levelno >= logging.WARNING]
    made.close()
    assert complaints == []


@pytest.fixture
def feed(server: Server) -> Feed:
    assert isinstance(server.application.socket, Feed)
    return server.application.socket


@pytest.fixture
def client(server: Server) -> Client:
    """A client whose handshake was accepted."""
    return accepted(server)


def accepted(server: Server, path: bytes = b"/") -> Client:
    made = server.connect().send(handshake(path))
    assert made.transport.taken.startswith(b"HTTP/1.1 101 ")
    made.transport.taken = b""
    return made


def frames(client: Client) -> list[tuple[int, bytes]]:
    """What the server has sent since the handshake: small frames, not masked."""
    data, found = client.transport.taken, []
    while data:
        assert data[0] & 0xF0 == 0x80
        size = data[1]
        assert size < 126
        found.append((data[0] & 0x0F, data[2 : 2 + size]))
        data = data[2 + size :]
    return found


def closed_with(client: Client) -> int | None:
    """The code of the close frame, the last that came."""
    found = frames(client)
    if not found or found[-1][0] != Opcode.CLOSE:
        return None
    return int.from_bytes(found[-1][1][:2])


def protocol(client: Client) -> Any:
    return client.transport.protocol


# --- the handshake


def test_a_handshake_that_the_application_refuses_is_counted_and_closed(server: Server) -> None:
    client = server.connect().send(handshake(b"/refused"))
    assert client.statuses() == (403,)
    assert client.is_closed()
    assert server.refused == {"handshake-403": 1}


def test_a_handshake_that_the_application_answers_is_counted_and_closed(server: Server) -> None:
    client = server.connect().send(handshake(b"/denied"))
    assert client.statuses() == (401,)
    assert client.answers()[0].body == b"no"
    assert client.is_closed()
    assert server.refused == {"handshake-401": 1}


def test_a_handshake_may_be_as_large_as_a_head() -> None:
    """A browser sends all its cookies with it."""
    server = Server(header_max_bytes=20_000)
    server.application.socket = Feed()
    cookies = b"Cookie: a=" + b"b" * 7900 + b"\r\n"
    client = server.connect().send(handshake(fields=FIELDS + KEY + cookies * 2))
    assert client.transport.taken.startswith(b"HTTP/1.1 101 ")
    server.close()


def test_an_application_that_still_asks_is_told_of_a_refusal(server: Server, feed: Feed) -> None:
    server.connect().send(handshake(b"/asking")).wait(30 + TICK)
    assert feed.events == [{"type": "websocket.disconnect", "code": 1006}]


def test_a_handshake_that_the_parser_refuses_is_counted_and_closed(server: Server) -> None:
    client = server.connect().send(handshake(fields=FIELDS))
    assert client.statuses() == (400,)
    assert client.is_closed()
    assert server.refused == {"bad-handshake": 1}


@pytest.mark.parametrize(
    ("fields", "status", "slug"),
    [
        (FIELDS + b"Sec-WebSocket-Key: secret\r\n", 400, "bad-request"),
        (FIELDS + KEY + b"Sec-WebSocket-Protocol: bearer.secret,/\r\n", 400, "bad-request"),
        (FIELDS + KEY + b"Upgrade: websocket\r\n", 426, "upgrade-required"),
    ],
)
def test_a_handshake_that_the_parser_refuses_gets_a_problem_that_quotes_nothing(
    server: Server, fields: bytes, status: int, slug: str
) -> None:
    client = server.connect().send(handshake(fields=fields))
    (answer,) = client.answers()
    assert answer.status == answer.json["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["type"].endswith(slug)
    assert b"secret" not in client.transport.taken
    assert ("upgrade" in answer.headers) is (status == 426)
    assert client.is_closed()
    assert server.refused == {"bad-handshake": 1}


def test_a_client_waits_for_the_answer_to_its_handshake(server: Server) -> None:
    """RFC 6455 section 4.1."""
    client = server.connect().send(handshake(b"/slow"), frame(Opcode.PING))
    assert client.statuses() == (400,)
    assert server.refused == {"bad-request": 1}
    assert client.transport.has_ended
    assert client.wait(LINGER_SECONDS + TICK).is_closed()


def test_a_handshake_that_is_not_answered_in_time_is_refused(server: Server, feed: Feed) -> None:
    client = server.connect().send(handshake(b"/slow")).wait(29.75)
    assert not client.is_ending()
    client.wait(TICK + 0.25)
    assert client.statuses() == (503,)
    assert server.refused == {"answer-too-slow": 1}
    client.wait(LINGER_SECONDS)
    assert client.is_closed()
    feed.go_on.set()
    client.wait(0)
    assert client.statuses() == (503,), "what the application says later is not sent"


def test_a_handshake_is_refused_at_the_end_of_the_server(server: Server) -> None:
    client = server.connect().send(handshake(b"/slow"))
    server.call(protocol(client).shutdown)
    assert client.statuses() == (503,)
    assert client.answers()[0].json["type"].endswith("/draining")
    assert client.answers()[0].headers["retry-after"] == "1"
    client.wait(LINGER_SECONDS + 0.25)
    assert client.transport.was_aborted


def test_a_socket_is_closed_at_the_end_of_the_server(client: Client, server: Server) -> None:
    server.call(protocol(client).shutdown)
    assert closed_with(client) == 1012
    assert client.is_closed()


# --- frames


def test_messages_reach_the_application(client: Client, feed: Feed) -> None:
    client.send(
        frame(Opcode.TEXT, b"one"), frame(Opcode.TEXT, b"t", fin=False) + frame(Opcode.CONT, b"wo")
    )
    client.send(frame(Opcode.BINARY, b"\xff"))
    assert [event.get("text", event.get("bytes")) for event in feed.events] == [
        "one",
        "two",
        b"\xff",
    ]


def test_a_ping_is_answered(client: Client) -> None:
    client.send(frame(Opcode.PING, b"abc"))
    assert frames(client) == [(Opcode.PONG, b"abc")]


@pytest.mark.parametrize(
    "parts",
    [
        (frame(Opcode.TEXT, b"\xff"),),
        (frame(Opcode.TEXT, b"\xe2", fin=False), frame(Opcode.CONT, b"a")),
    ],
    ids=["whole", "in fragments"],
)
def test_text_that_is_not_utf8_ends_the_socket_quietly(
    client: Client, server: Server, feed: Feed, parts: tuple[bytes, ...]
) -> None:
    client.send(*parts)
    assert closed_with(client) == 1007
    assert server.refused == {"websocket-1007": 1}
    assert [(event["type"], event["code"]) for event in feed.events] == [
        ("websocket.disconnect", 1007)
    ]


def test_half_a_character_in_a_fragment_is_none_in_the_message(client: Client, feed: Feed) -> None:
    client.send(frame(Opcode.TEXT, b"\xe2\x82", fin=False), frame(Opcode.CONT, b"\xac"))
    assert feed.events == [{"type": "websocket.receive", "text": "\N{EURO SIGN}"}]


def test_what_is_no_frame_ends_the_socket_and_is_not_listened_to(
    client: Client, server: Server, feed: Feed
) -> None:
    """RFC 6455 section 7.1.7."""
    client.send(b"\xff\xff", frame(Opcode.PING))
    assert closed_with(client) == 1002
    assert server.refused == {"websocket-1002": 1}
    assert feed.has_ended
    assert client.transport.has_ended
    assert not client.is_closed(), "it may still be sending"
    client.wait(LINGER_SECONDS + 0.25)
    assert client.transport.was_aborted


def test_after_the_end_so_much_is_read_and_no_more(client: Client) -> None:
    client.send(b"\xff\xff", b"x" * LINGER_BYTES)
    assert not client.is_closed()
    client.send(b"x")
    assert client.is_closed()


def test_what_comes_in_one_segment_with_a_flood_is_counted_to_the_byte(client: Client) -> None:
    # Parsed in slices of 4096 bytes; the first has more frames than a minute may have.
    flood = frame(Opcode.PING) * 682 + b"\x89\x80\0\0"
    assert len(flood) == 4096
    client.send(flood + b"x" * LINGER_BYTES)
    assert closed_with(client) == 1008
    assert not client.is_closed()
    client.send(b"x")
    assert client.is_closed()


@pytest.mark.parametrize("sent", [b"\xff\xff", frame(Opcode.TEXT, b"\xff")])
def test_after_the_end_there_is_no_ping_and_no_second_close(client: Client, sent: bytes) -> None:
    client.wait(19).send(sent)
    client.server.call(protocol(client).shutdown)
    said = frames(client)
    assert [kind for kind, _ in said] == [Opcode.CLOSE]
    client.wait(2)
    assert frames(client) == said


def test_a_client_that_breaks_frees_an_application_that_waits_for_it(
    client: Client, server: Server, feed: Feed
) -> None:
    client.transport.is_stuck = True

    async def speak() -> None:
        assert feed.send is not None
        with pytest.raises(ClientDisconnected):
            for _ in range(3):
                await feed.send({"type": "websocket.send", "text": "x" * 50_000})

    task = server.loop.create_task(speak())
    server.settle()
    assert not task.done()
    client.send(b"\xff\xff")
    assert task.done()
    task.result()


def test_text_after_a_close_is_not_looked_at(client: Client, server: Server) -> None:
    client.send(frame(Opcode.TEXT, b"close"), frame(Opcode.TEXT, b"\xff"))
    assert [kind for kind, _ in frames(client)] == [Opcode.CLOSE]
    assert closed_with(client) == 3000
    assert server.refused == {}


def broken(client: Client, _: Feed) -> None:
    client.send(b"\xff\xff")


def told_to_go(client: Client, feed: Feed) -> None:
    client.server.call(lambda: feed.scope["extensions"][CLOSE_NOW](4000, "too slow", 3.0))


def silent(client: Client, _: Feed) -> None:
    client.wait(40.5)


@pytest.mark.parametrize("end", [broken, told_to_go, silent])
def test_an_application_that_speaks_to_a_client_that_is_going_is_not_at_fault(
    client: Client, server: Server, feed: Feed, end: Callable[[Client, Feed], None]
) -> None:
    client.transport.is_stuck = True
    end(client, feed)
    assert not client.is_closed()

    async def late() -> None:
        assert feed.send is not None
        with pytest.raises(ClientDisconnected):
            await feed.send({"type": "websocket.send", "text": "late"})

    server.loop.run_until_complete(late())
    client.transport.take()
    assert b"late" not in client.transport.taken


# --- floods

KINDS = {
    "pings": (frame(Opcode.PING), b""),
    "pongs": (frame(Opcode.PONG), b""),
    "texts": (frame(Opcode.TEXT), b""),
    "bytes": (frame(Opcode.BINARY), b""),
    "fragments": (frame(Opcode.CONT, fin=False), frame(Opcode.TEXT, fin=False)),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_frame_too_many_in_a_minute_is_a_violation_of_policy(
    client: Client, server: Server, feed: Feed, name: str
) -> None:
    one, first = KINDS[name]
    rest = 10 - (1 if first else 0)
    client.send(first, *[one] * rest)
    assert closed_with(client) is None
    client.send(one)
    assert closed_with(client) == 1008
    assert server.refused == {"websocket-1008": 1}
    assert feed.has_ended
    client.send(one)
    assert client.wait(LINGER_SECONDS + 0.25).is_closed()


def test_the_frames_of_each_minute_are_counted_anew(client: Client) -> None:
    for _ in range(4):
        client.send(*[frame(Opcode.PONG)] * 6)
        for _ in range(3):
            client.transport.taken = b""
            client.wait(20.25)
            ((_, payload),) = frames(client)
            client.send(frame(Opcode.PONG, payload))
    assert client.server.refused == {}
    assert not client.is_ending()


def test_the_next_minute_has_as_many_frames_as_the_first(client: Client) -> None:
    client.send(*[frame(Opcode.PONG)] * 5)
    for _ in range(3):
        client.transport.taken = b""
        client.wait(20.25)
        ((_, payload),) = frames(client)
        client.send(frame(Opcode.PONG, payload))
    # Three more are one too many for one minute: the next one begins.
    client.transport.taken = b""
    client.send(*[frame(Opcode.PONG)] * 13)
    assert closed_with(client) is None
    client.send(frame(Opcode.PONG))
    assert closed_with(client) == 1008


def test_a_flood_behind_a_close_is_dropped(client: Client, server: Server) -> None:
    client.send(frame(Opcode.TEXT, b"close"))
    assert closed_with(client) == 3000
    client.send(frame(Opcode.PING) * 12)
    answered = len(frames(client))
    client.send(frame(Opcode.PING) * 12)
    assert len(frames(client)) == answered
    assert server.refused == {}


# --- the end


def test_a_client_that_closes_is_answered(client: Client, feed: Feed) -> None:
    client.send(frame(Opcode.CLOSE, (1000).to_bytes(2)))
    assert closed_with(client) == 1000
    assert client.is_closed()
    assert feed.has_ended


def test_a_client_that_does_not_answer_a_close_is_dropped(client: Client) -> None:
    client.transport.is_stuck = True
    client.send(frame(Opcode.TEXT, b"close")).wait(1.5)
    assert not client.is_closed()
    client.wait(5 + TICK + LINGER_SECONDS)
    assert client.transport.was_aborted


def test_a_client_that_closes_and_does_not_read_is_dropped(client: Client) -> None:
    client.transport.is_stuck = True
    client.send(frame(Opcode.CLOSE, (1000).to_bytes(2)))
    assert not client.is_closed()
    client.wait(5 + TICK + LINGER_SECONDS + TICK)
    assert client.transport.was_aborted


def test_a_client_that_answers_no_ping_is_dropped_though_it_does_not_read(client: Client) -> None:
    client.wait(20.25)
    assert [kind for kind, _ in frames(client)] == [Opcode.PING]
    client.transport.is_stuck = True
    client.wait(19.5)
    assert not client.is_ending()
    client.wait(0.75)
    assert client.transport.is_closing()
    assert not client.is_closed()
    client.wait(1.25)
    assert client.transport.was_aborted


def test_a_client_that_answers_pings_stays(client: Client) -> None:
    for _ in range(6):
        client.transport.taken = b""
        client.wait(20.25)
        ((kind, payload),) = frames(client)
        assert kind == Opcode.PING
        client.send(frame(Opcode.PONG, payload))
    assert not client.is_ending()


def test_an_application_can_close_a_client_that_does_not_read(client: Client, feed: Feed) -> None:
    client.transport.is_stuck = True
    close_now = feed.scope["extensions"][CLOSE_NOW]
    client.server.call(lambda: close_now(4000, "too slow", 3.0))
    client.server.call(lambda: close_now(4001, "again", 3.0))
    assert feed.events == [{"type": "websocket.disconnect", "code": 4000, "reason": "too slow"}]
    assert not client.is_closed(), "a client that is merely slow may still take what there is"
    client.transport.take()
    assert closed_with(client) == 4000
    client.wait(2.75)
    assert not client.is_closed()
    client.wait(0.5)
    assert client.transport.was_aborted


def test_a_client_that_answers_the_close_is_gone_at_once(client: Client, feed: Feed) -> None:
    client.server.call(lambda: feed.scope["extensions"][CLOSE_NOW](4000, "", 3.0))
    client.send(frame(Opcode.CLOSE, (4000).to_bytes(2)))
    assert client.is_closed()
    assert not client.transport.was_aborted


def test_a_client_that_is_gone_cannot_be_closed_again(client: Client, feed: Feed) -> None:
    client.end()
    assert client.is_closed()
    before = list(feed.events)
    client.server.call(lambda: feed.scope["extensions"][CLOSE_NOW](4000, "", 3.0))
    assert feed.events == before


def test_a_close_makes_a_paused_client_be_read_again(server: Server, feed: Feed) -> None:
    """Else its answer to the close frame would never be seen."""
    client = accepted(server, b"/deaf").send(frame(Opcode.TEXT, b"nobody takes it"))
    assert not client.transport.is_reading()
    server.call(lambda: feed.scope["extensions"][CLOSE_NOW](4000, "", 3.0))
    assert client.transport.is_reading()
    assert not protocol(client).read_paused


def test_a_socket_that_was_told_to_close_gets_no_ping(client: Client, feed: Feed) -> None:
    client.server.call(lambda: feed.scope["extensions"][CLOSE_NOW](4000, "", 60.0))
    client.wait(5)
    assert [kind for kind, _ in frames(client)] == [Opcode.CLOSE]
    assert feed.has_ended


def test_the_clock_forgets_who_has_gone(client: Client, feed: Feed) -> None:
    client.end().wait(100)
    assert feed.has_ended
    assert client.server.state.connections == set()
    assert not client.server.loop._scheduled  # type: ignore[attr-defined]
