"""Sockets that follow the feed: in order, from where one left, within limits, to the end."""

import asyncio
import json
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from serving.tests.exposition import samples
from serving.tests.process import Running
from serving.tests.service import PATH, open_app
from serving.web.security import new_key
from tools.dev.postgres import Postgres

# uvicorn says this of every refused handshake, and some time after the refusal.
pytestmark = pytest.mark.complains("ASGI callable returned without completing handshake")


@pytest.fixture(scope="module")
def server(shared_sqlite_url: str) -> Iterator[Running]:
    with Running(
        DATABASE_URL=shared_sqlite_url,
        WS_PING_INTERVAL="0.3",
        WS_PING_TIMEOUT="0.3",
        WS_MAX_MESSAGE_BYTES="100",
        WS_REPLAY_LIMIT="5",
        CORS_ORIGINS="https://app.example.org",
    ) as running:
        running.wait_ready()
        yield running


class Follower:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.hello: dict[str, Any] = {}

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            message: dict[str, Any] = json.loads(await self.connection.recv())
            return message

    async def closed(self) -> int:
        """The close code, once the server has closed."""
        async with asyncio.timeout(10):
            with pytest.raises(ConnectionClosed) as caught:
                while True:
                    await self.connection.recv()
        assert caught.value.rcvd is not None
        return int(caught.value.rcvd.code)


@asynccontextmanager
async def follow(server: Running, query: str = "", **options: Any) -> AsyncIterator[Follower]:
    url = f"ws://127.0.0.1:{server.port}/ws/notes{query}"
    options.setdefault("proxy", None)
    async with connect(url, **options) as connection:
        follower = Follower(connection)
        follower.hello = await follower.next()
        yield follower


async def create(server: Running, text: str = "x") -> dict[str, Any]:
    async with httpx.AsyncClient() as client:
        response = await client.post(server.url + PATH, json={"text": text})
    note: dict[str, Any] = response.json()
    return note


async def refusal(server: Running, **options: Any) -> httpx.Response | Any:
    with pytest.raises(InvalidStatus) as caught:
        async with follow(server, **options):
            pass
    return caught.value.response


async def test_events_arrive_in_order_after_a_hello(server: Running) -> None:
    async with follow(server) as follower:
        notes = [await create(server, text) for text in ("one", "two", "three")]
        messages = [await follower.next() for _ in range(3)]
    assert [one["kind"] for one in messages] == ["created"] * 3
    assert [one["note"] for one in messages] == notes
    first = follower.hello["last_event_id"] + 1
    assert [one["id"] for one in messages] == [first, first + 1, first + 2]


async def test_what_was_rolled_back_or_replayed_is_not_told(server: Running) -> None:
    async with follow(server) as follower, httpx.AsyncClient(base_url=server.url) as client:
        headers = {"Idempotency-Key": str(time.time_ns())}
        for _ in range(2):
            await client.post(PATH, json={"text": "x"}, headers=headers)
        await client.post(PATH, json={"text": "y"}, headers=headers)
        await client.post(PATH, json={"text": "last"})
        texts = [(await follower.next())["note"]["text"] for _ in range(2)]
    assert texts == ["x", "last"]


async def test_a_client_resumes_where_it_left(server: Running) -> None:
    async with follow(server) as follower:
        await create(server, "seen")
        seen = (await follower.next())["id"]
    await create(server, "missed 1")
    await create(server, "missed 2")
    async with follow(server, f"?last_event_id={seen}") as follower:
        await create(server, "live")
        texts = [(await follower.next())["note"]["text"] for _ in range(3)]
    assert texts == ["missed 1", "missed 2", "live"]
    assert follower.hello == {"kind": "hello", "last_event_id": seen}


@pytest.mark.postgresql
@pytest.mark.complains(r"change feed: \w+; trying again")
async def test_who_resumes_while_the_database_is_gone_is_refused_and_resumes_later(
    own_server: Postgres,
) -> None:
    with Running(DATABASE_URL=own_server.url) as server:
        server.wait_ready()
        async with follow(server) as follower:
            await create(server, "missed")
            await follower.next()
        await asyncio.to_thread(own_server.stop)
        response: Any = await refusal(server, query="?last_event_id=0")
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        assert json.loads(response.body)["type"].endswith("/feed-unavailable")
        await asyncio.to_thread(own_server.start)
        async with follow(server, "?last_event_id=0") as follower:
            assert (await follower.next())["note"]["text"] == "missed"


async def test_a_client_that_missed_too_much_is_told_to_start_over(server: Running) -> None:
    for _ in range(7):
        await create(server)
    async with follow(server, "?last_event_id=0") as follower:
        reset = await follower.next()
        await create(server, "live")
        live = await follower.next()
    assert reset["kind"] == "reset"
    assert live["id"] == reset["last_event_id"] + 1


async def test_a_last_event_id_from_the_future_starts_over(server: Running) -> None:
    async with follow(server, "?last_event_id=999999999") as follower:
        assert (await follower.next())["kind"] == "reset"


@pytest.mark.parametrize(
    "query", ["?last_event_id=x", "?last_event_id=-1", "?last_event_id=" + "9" * 19]
)
async def test_a_last_event_id_that_is_no_number_is_a_422(server: Running, query: str) -> None:
    assert (await refusal(server, query=query)).status_code == 422


async def test_a_foreign_origin_is_a_403_problem(server: Running) -> None:
    response = await refusal(server, origin="https://evil.example.org")
    assert response.status_code == 403
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("origin", ["https://app.example.org", "http://127.0.0.1:{port}"])
async def test_named_origins_and_our_own_are_welcome(server: Running, origin: str) -> None:
    async with follow(server, origin=origin.format(port=server.port)) as follower:
        assert follower.hello["kind"] == "hello"


async def test_a_key_comes_as_header_or_subprotocol(sqlite_url: str) -> None:
    key, entry = new_key("web")
    with Running(DATABASE_URL=sqlite_url, AUTH_REQUIRED="true", API_KEYS=entry) as server:
        server.wait_ready()
        assert (await refusal(server)).status_code == 401
        headers = {"Authorization": f"Bearer {key}"}
        async with follow(server, additional_headers=headers) as follower:
            assert follower.connection.subprotocol is None
        async with follow(server, subprotocols=["sample.v1", f"bearer.{key}"]) as follower:
            assert follower.connection.subprotocol == "sample.v1"
        wrong = await refusal(server, subprotocols=["sample.v1", "bearer.wrong"])
        assert wrong.status_code == 401
        assert key not in server.text


async def test_a_client_that_answers_no_ping_is_dropped(server: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"GET /ws/notes HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    async with asyncio.timeout(5):
        received = await reader.read(-1)
    writer.close()
    assert received.startswith(b"HTTP/1.1 101 ")
    assert b"\x89\x04" in received  # a ping


async def test_a_client_that_answers_pings_stays(server: Running) -> None:
    async with follow(server) as follower:
        await asyncio.sleep(1.2)
        await create(server, "still here")
        assert (await follower.next())["note"]["text"] == "still here"


async def test_a_message_over_the_limit_closes_the_socket(server: Running) -> None:
    async with follow(server) as follower:
        await follower.connection.send("x" * 101)
        assert await follower.closed() == 1009


async def test_a_client_that_talks_too_much_is_closed(server: Running) -> None:
    async with follow(server) as follower:
        for _ in range(31):
            await follower.connection.send("x")
        assert await follower.closed() == 1008


async def test_a_socket_whose_key_is_taken_back_is_closed_and_the_others_stay(
    sqlite_url: str, tmp_path: Path
) -> None:
    (kept, kept_entry), (lost, lost_entry) = new_key("kept"), new_key("lost")
    file = tmp_path / "api-keys"
    file.write_text(f"{kept_entry},{lost_entry}")
    with Running(DATABASE_URL=sqlite_url, API_KEYS_FILE=str(file)) as server:
        server.wait_ready()
        a, b = ({"additional_headers": {"Authorization": f"Bearer {key}"}} for key in (kept, lost))
        async with follow(server, "", **a) as stays, follow(server, "", **b) as goes:
            file.write_text(kept_entry)
            assert await goes.closed() == 1008
            assert (await refusal(server, **b)).status_code == 401
            await asyncio.to_thread(
                httpx.post,
                f"{server.url}{PATH}",
                json={"text": "still here"},
                headers={"Authorization": f"Bearer {kept}"},
            )
            assert (await stays.next())["note"]["text"] == "still here"


async def test_sockets_are_limited_in_all_and_per_client(sqlite_url: str) -> None:
    keys = [new_key("a"), new_key("b")]
    with Running(
        DATABASE_URL=sqlite_url,
        API_KEYS=",".join(entry for _, entry in keys),
        WS_MAX_CONNECTIONS="3",
        WS_MAX_CONNECTIONS_PER_CLIENT="2",
    ) as server:
        server.wait_ready()
        a, b = ({"additional_headers": {"Authorization": f"Bearer {key}"}} for key, _ in keys)
        async with follow(server, "", **a), follow(server, "", **a):
            assert (await refusal(server, **a)).status_code == 429
            async with follow(server, "", **b):
                full = await refusal(server, **b)
                assert (full.status_code, full.headers["Retry-After"]) == (503, "5")
        async with asyncio.timeout(5):
            while server_sockets(server):
                await asyncio.sleep(0.02)
        async with follow(server, "", **a):
            pass


@pytest.mark.parametrize(("proxy", "is_believed"), [("127.0.0.1", True), ("192.0.2.1", False)])
async def test_a_forwarded_address_is_believed_from_a_trusted_proxy_only(
    sqlite_url: str, proxy: str, is_believed: bool
) -> None:
    with Running(
        DATABASE_URL=sqlite_url,
        TRUSTED_PROXIES=proxy,
        WS_MAX_CONNECTIONS_PER_CLIENT="1",
    ) as server:
        server.wait_ready()
        one = {"additional_headers": {"X-Forwarded-For": "198.51.100.1"}}
        two = {"additional_headers": {"X-Forwarded-For": "198.51.100.2"}}
        async with follow(server, "", **one):
            if is_believed:
                async with follow(server, "", **two):
                    pass
            else:
                assert (await refusal(server, **two)).status_code == 429


def server_sockets(server: Running) -> float:
    return samples(httpx.get(f"{server.url}/metrics").text)["websocket_connections"]


async def test_a_slow_consumer_is_closed_with_1013_and_costs_the_others_nothing(
    sqlite_url: str,
) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    with Running(DATABASE_URL=sqlite_url, WS_QUEUE_SIZE="30") as server:
        server.wait_ready()
        slow = await stuck_socket(server)
        async with follow(server) as fast:
            for _ in range(10):
                # Large events fill the kernel's buffers, which have to be full before a queue is.
                record_large_events(path, 20)
                await create(server)
                for _ in range(21):
                    await fast.next()
                if server_sockets(server) == 1:
                    break
            assert server_sockets(server) == 1
        found = httpx.get(f"{server.url}/metrics").text
        assert 'websocket_closes_total{code="1013"} 1.0' in found
        slow.close()


@pytest.mark.parametrize("size", ["1", "10"])
async def test_more_events_at_once_than_a_queue_holds_reach_who_reads(
    sqlite_url: str, size: str
) -> None:
    with Running(DATABASE_URL=sqlite_url, WS_QUEUE_SIZE=size) as server:
        server.wait_ready()
        async with follow(server) as reader:
            record_events(Path(sqlite_url.removeprefix("sqlite:///")), 300, "x" * 2_000)
            await create(server)

            ids = [(await reader.next())["id"] for _ in range(301)]

    assert ids == sorted(set(ids))


def record_large_events(path: Path, count: int) -> None:
    record_events(path, count, "x" * 200_000)


def record_events(path: Path, count: int, text: str) -> None:
    payload = json.dumps({"text": text})
    rows = [("created", payload, "2030-01-01 00:00:00")] * count
    with closing(sqlite3.connect(path, timeout=10)) as connection, connection:
        connection.executemany(
            "INSERT INTO note_events (kind, payload, created_at) VALUES (?, ?, ?)", rows
        )


async def stuck_socket(server: Running) -> socket.socket:
    """A WebSocket client that never reads."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(
        b"GET /ws/notes HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    return connection


async def test_shutdown_closes_sockets_with_1001(sqlite_url: str) -> None:
    with Running(DATABASE_URL=sqlite_url) as server:
        server.wait_ready()
        async with follow(server) as one, follow(server) as two:
            server.terminate()
            assert [await one.closed(), await two.closed()] == [1001, 1001]
        assert server.process.wait(10) == 0


@pytest.mark.parametrize("path", ["/ws/nothing", PATH])
async def test_a_path_without_a_socket_is_not_found(server: Running, path: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None)
    answer = caught.value.response
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.body)["type"] == "/problems/not-found"


async def test_what_a_socket_says_is_written_as_its_page_has_it(server: Running) -> None:
    url = f"ws://127.0.0.1:{server.port}/ws/notes?last_event_id=0"
    async with connect(url, proxy=None) as connection:
        assert await connection.recv() == '{"kind":"hello","last_event_id":0}'


async def test_a_draining_replica_takes_no_new_sockets(sqlite_url: str) -> None:
    with Running(DATABASE_URL=sqlite_url, DRAIN_SECONDS="2") as server:
        server.wait_ready()
        server.terminate()
        await asyncio.sleep(0.3)
        assert (await refusal(server)).status_code == 503


async def test_a_thousand_idle_sockets_are_held_and_served(sqlite_url: str) -> None:
    with Running(DATABASE_URL=sqlite_url) as server:
        server.wait_ready()
        before = server.resident
        followers: list[ClientConnection] = []
        try:
            for _ in range(20):
                url = f"ws://127.0.0.1:{server.port}/ws/notes"
                options: dict[str, Any] = {"proxy": None, "compression": None, "open_timeout": 30}
                followers += await asyncio.gather(*(connect(url, **options) for _ in range(50)))
            for one in followers:
                await one.recv()
            began = time.monotonic()
            await create(server, "to all")
            async with asyncio.timeout(30):
                messages = [json.loads(await one.recv()) for one in followers]
            assert time.monotonic() - began < 10
            assert {one["note"]["text"] for one in messages} == {"to all"}
            assert server.resident - before < 100_000_000
        finally:
            await asyncio.gather(*(one.close() for one in followers))


@pytest.mark.postgresql
async def test_changes_reach_the_sockets_of_every_replica(postgres_url: str) -> None:
    with Running(DATABASE_URL=postgres_url) as one, Running(DATABASE_URL=postgres_url) as two:
        one.wait_ready()
        two.wait_ready()
        async with follow(one) as at_one, follow(two) as at_two:
            await create(one, "from one")
            await create(two, "from two")
            for follower in (at_one, at_two):
                texts = [(await follower.next())["note"]["text"] for _ in range(2)]
                assert texts == ["from one", "from two"]


@pytest.mark.postgresql
@pytest.mark.complains("change feed: ConnectionError; trying again")
async def test_no_event_is_lost_when_the_listening_connection_is(postgres_url: str) -> None:
    import asyncpg

    with Running(DATABASE_URL=postgres_url) as server:
        server.wait_ready()
        async with follow(server) as follower:
            await create(server, "before")
            assert (await follower.next())["note"]["text"] == "before"
            admin = await asyncpg.connect(postgres_url)
            for number in range(3):
                killed = await admin.fetch(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                )
                assert len(killed) == 1, number
                await create(server, f"while away {number}")
                message = await follower.next()
                assert message["note"]["text"] == f"while away {number}"
                async with asyncio.timeout(10):
                    while not await admin.fetchval(
                        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' "
                        "AND datname = current_database()"
                    ):
                        await asyncio.sleep(0.02)
            await admin.close()


@pytest.mark.postgresql
async def test_racing_writers_leave_no_gap_in_the_feed(postgres_url: str) -> None:
    with Running(DATABASE_URL=postgres_url) as one, Running(DATABASE_URL=postgres_url) as two:
        one.wait_ready()
        two.wait_ready()
        async with follow(one) as follower:
            async with httpx.AsyncClient() as client:

                async def write(number: int) -> None:
                    server = (one, two)[number % 2]
                    await client.post(server.url + PATH, json={"text": f"n{number}"})

                await asyncio.gather(*(write(number) for number in range(60)))
            messages = [await follower.next() for _ in range(60)]
    assert {message["note"]["text"] for message in messages} == {f"n{n}" for n in range(60)}
    ids = [message["id"] for message in messages]
    assert ids == sorted(ids)


@pytest.mark.postgresql
async def test_a_quiet_feed_stays_connected(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The sign of life that is asked of the connection is a statement that the driver takes."""
    monkeypatch.setattr("serving.feed.follower.CHECK_SECONDS", 0.05)
    async with open_app(postgres_url) as (app, _):
        await app.feed.subscribe()
        await asyncio.sleep(0.5)
        assert app.feed.is_connected
    assert caplog.records == []
