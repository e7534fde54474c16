"""PostgreSQL crashes while todos are written: who follows the feed is told all the same.

Writers create, change and delete through two replicas. The server is killed again and again, the
last time with the last writes. One client stays on its socket, another one comes and goes. What
each was told in the end has to be what is stored: of each todo version 1, 2, ..., each once, and
among them whatever a writer got an answer to.
"""

import asyncio
import contextlib
import json
import random
import signal
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import asyncpg
import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from backend.tests.process import Running
from tools.dev.postgres import Postgres

PATH = "/api/v1/todos"
WRITERS = 8
SHARED = 3
# Answers before each crash.
ANSWERS = 80

# What is expected of a replica whose database is gone; anything else in its log fails the test.
pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.complains(
        r"change feed: \w+; trying again",
        r"change feed: events wait to be published: \w+",
        r"database-unavailable: \w+",
        # Who resumes meanwhile is refused, of which uvicorn says this.
        "ASGI callable returned without completing handshake",
    ),
]

# A change as writers and readers know it: todo, kind, version. That of a deletion is not answered.
Change = tuple[str, str, int]


@pytest.fixture
def replicas(crash_safe_server: Postgres) -> Iterator[list[Running]]:
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(Running(DATABASE_URL=crash_safe_server.url)) for _ in range(2)
        ]
        for one in running:
            one.wait_ready()
        yield running


class Writers:
    """Who writes todos, some of which are everybody's."""

    def __init__(self, replicas: list[Running], seed: int) -> None:
        self._urls = [one.url + PATH for one in replicas]
        self._random = random.Random(seed)
        self._shared: list[str] = []
        self.is_over = False
        self.answered: set[Change] = set()
        self.unanswered = 0

    async def write(self) -> None:
        """All of them, until it is over."""
        limits = httpx.Limits(max_keepalive_connections=WRITERS)
        async with httpx.AsyncClient(timeout=20, limits=limits) as client:
            self._shared = [todo for _ in range(SHARED) if (todo := await self._create(client))]
            assert len(self._shared) == SHARED
            await asyncio.gather(*(self._write(client) for _ in range(WRITERS)))

    async def _write(self, client: httpx.AsyncClient) -> None:
        own: list[str] = []
        while not self.is_over:
            choice = self._random.random()
            if choice < 0.2:
                if todo := await self._create(client):
                    own.append(todo)
            elif choice < 0.3 and own:
                todo = own.pop()
                if await self._call(client, "DELETE", f"/{todo}"):
                    self.answered.add((todo, "deleted", 0))
            else:
                todo = self._random.choice([*self._shared, *own])
                title = {"title": f"title {self._random.random()}"}
                if answer := await self._call(client, "PATCH", f"/{todo}", json=title):
                    self.answered.add((todo, "updated", answer.json()["version"]))

    async def _create(self, client: httpx.AsyncClient) -> str | None:
        answer = await self._call(client, "POST", "", json={"title": "x"})
        if answer is None:
            return None
        todo: str = answer.json()["id"]
        self.answered.add((todo, "created", 1))
        return todo

    async def _call(
        self, client: httpx.AsyncClient, method: str, path: str, **options: Any
    ) -> httpx.Response | None:
        """The answer; none where nobody knows whether it was done."""
        answer = await client.request(method, self._random.choice(self._urls) + path, **options)
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            self.unanswered += 1
            await asyncio.sleep(0.02)
            return None
        assert answer.is_success, answer.text
        return answer


class Reader:
    """A client of the feed that knows the last id it has seen."""

    def __init__(self, replicas: list[Running], seed: int) -> None:
        self._urls = [f"ws://127.0.0.1:{one.port}/ws/todos" for one in replicas]
        self._random = random.Random(seed)
        self.last = 0
        self.messages: list[dict[str, Any]] = []
        self.refusals: set[int] = set()
        self.times = 0

    async def stay(self) -> None:
        """Be told by one replica, for ever."""
        async with connect(f"{self._urls[0]}?last_event_id=0", proxy=None) as connection:
            async for message in connection:
                self._hear(message)
        raise AssertionError("expected a socket that outlives the database, got a close frame")

    async def come_and_go(self) -> None:
        """Be told by one, leave, and go on with another, for ever."""
        while True:
            url = f"{self._random.choice(self._urls)}?last_event_id={self.last}"
            try:
                # All that comes is taken from the wire, or the answer to its leaving would not be.
                async with connect(url, proxy=None, max_queue=None) as connection:
                    self._hear(await connection.recv())
                    self.times += 1
                    with contextlib.suppress(TimeoutError):
                        for _ in range(self._random.randint(1, 20)):
                            async with asyncio.timeout(1):
                                self._hear(await connection.recv())
            except InvalidStatus as refusal:
                self.refusals.add(refusal.response.status_code)
                await asyncio.sleep(0.02)

    def _hear(self, text: str | bytes) -> None:
        message = json.loads(text)
        assert message["kind"] != "reset", "nothing may be missing"
        if message["kind"] != "hello":
            self.messages.append(message)
            self.last = message["id"]

    async def heard_until(self, event_id: int) -> None:
        """Wait for an event."""
        try:
            async with asyncio.timeout(20):
                while self.last < event_id:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(
                f"expected event {event_id}, heard of none after {self.last}"
            ) from None


def flaws(
    messages: Iterable[Mapping[str, Any]], stored: Mapping[str, int], answered: set[Change]
) -> list[str]:
    """What is wrong with what a reader was told, in words."""
    found = []
    by_todo: dict[str, list[tuple[str, int]]] = defaultdict(list)
    last = 0
    for message in messages:
        todo, kind = message["todo"], message["kind"]
        by_todo[todo["id"]].append((kind, 0 if kind == "deleted" else todo["version"]))
        if message["id"] <= last:
            found.append(f"id {message['id']} after {last}")
        last = message["id"]
    for todo_id in stored.keys() | by_todo.keys():
        told = by_todo[todo_id]
        version = stored.get(todo_id) or max((version for _, version in told), default=1)
        expected = [("created", 1), *(("updated", number) for number in range(2, version + 1))]
        if todo_id not in stored:
            expected.append(("deleted", 0))
        if told != expected:
            found.append(f"{todo_id}: expected {expected}, was told {told}")
    told_changes = {(todo_id, *one) for todo_id, told in by_todo.items() for one in told}
    found += [f"answered but not told: {one}" for one in sorted(answered - told_changes)]
    return found


async def what_is_stored(server: Postgres) -> tuple[dict[str, int], int]:
    """Each todo's version, and the last event's id once none waits to be published."""
    connection = await asyncpg.connect(server.url)
    try:
        while await connection.fetchval("SELECT count(*) FROM todo_outbox"):
            await asyncio.sleep(0.02)
        rows = await connection.fetch("SELECT id, version FROM todos")
        newest = await connection.fetchval("SELECT max(id) FROM todo_events")
    finally:
        await connection.close()
    return {str(row["id"]): row["version"] for row in rows}, newest


async def test_nothing_that_was_answered_is_missed_or_told_twice_when_the_server_crashes(
    crash_safe_server: Postgres, replicas: list[Running]
) -> None:
    server = crash_safe_server
    writers = Writers(replicas, seed=1)
    steady, restless = Reader(replicas, seed=2), Reader(replicas, seed=3)
    crashes = [server.kill, lambda: server.stop(signal.SIGQUIT), server.kill]
    async with asyncio.timeout(180), asyncio.TaskGroup() as group:
        reading = [
            group.create_task(steady.stay()),
            group.create_task(restless.come_and_go()),
        ]
        writing = group.create_task(writers.write())
        for number, crash in enumerate(crashes, 1):
            enough = len(writers.answered) + ANSWERS
            while len(writers.answered) < enough:
                await asyncio.sleep(0.01)
            writers.is_over = number == len(crashes)
            await asyncio.to_thread(crash)
            # Somebody looks while nobody is there.
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.start)
        await writing
        # Nobody writes any more: the feed takes up again by itself.
        stored, newest = await what_is_stored(server)
        for reader in (steady, restless):
            await reader.heard_until(newest)
        for task in reading:
            task.cancel()
    assert flaws(steady.messages, stored, writers.answered) == []
    assert flaws(restless.messages, stored, writers.answered) == []
    assert writers.unanswered > 0
    assert restless.times > len(crashes)
    assert restless.refusals <= {503}
