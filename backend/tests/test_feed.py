"""What the change feed carries: each change of a todo, once, and no other."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from backend.tests.process import Running

PATH = "/api/v1/todos"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    path: Path = tmp_path_factory.mktemp("feed") / "todos.db"
    with Running(DATABASE_URL=f"sqlite:///{path}") as running:
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


@asynccontextmanager
async def follow(server: Running) -> AsyncIterator[Follower]:
    url = f"ws://127.0.0.1:{server.port}/ws/todos"
    async with connect(url, proxy=None, subprotocols=["todo.v1"]) as connection:  # type: ignore[list-item]
        assert connection.subprotocol == "todo.v1"
        follower = Follower(connection)
        follower.hello = await follower.next()
        yield follower


async def test_changes_arrive_in_order(server: Running) -> None:
    async with follow(server) as follower, httpx.AsyncClient(base_url=server.url) as client:
        todo = (await client.post(PATH, json={"title": "x"})).json()
        path = f"{PATH}/{todo['id']}"
        changed = (await client.patch(path, json={"state": "done"})).json()
        await client.delete(path)
        messages = [await follower.next() for _ in range(3)]
    assert [one["kind"] for one in messages] == ["created", "updated", "deleted"]
    assert messages[0]["todo"] == todo
    assert messages[1]["todo"] == changed
    assert messages[2]["todo"] == {"id": todo["id"], "version": 2}
    ids = [one["id"] for one in messages]
    assert ids == sorted(ids)
    assert ids[0] > follower.hello["last_event_id"]


async def test_what_was_rolled_back_or_replayed_is_not_told(server: Running) -> None:
    async with follow(server) as follower, httpx.AsyncClient(base_url=server.url) as client:
        headers = {"Idempotency-Key": "1"}
        for _ in range(2):
            await client.post(PATH, json={"title": "x"}, headers=headers)
        await client.post(PATH, json={"title": "y"}, headers=headers)
        await client.post(PATH, json={"title": "last"})
        titles = [(await follower.next())["todo"]["title"] for _ in range(2)]
    assert titles == ["x", "last"]


async def test_a_change_that_changes_nothing_is_not_told(server: Running) -> None:
    async with follow(server) as follower, httpx.AsyncClient(base_url=server.url) as client:
        todo = (await client.post(PATH, json={"title": "x"})).json()
        path = f"{PATH}/{todo['id']}"
        await client.patch(path, json={"title": "x"})
        await client.delete(path)
        kinds = [(await follower.next())["kind"] for _ in range(2)]
    assert kinds == ["created", "deleted"]
