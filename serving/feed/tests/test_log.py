"""The table of events."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from serving.data.database import Database
from serving.tests.sample.tables import LOG
from serving.tests.service import settings_for


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(settings_for(database_url), name="test")
    yield database
    await database.close()


async def record(database: Database, *payloads: str) -> None:
    async with database.write() as connection:
        for payload in payloads:
            await LOG.record(connection, "created", payload)
    await publish(database)


async def publish(database: Database) -> int:
    async with database.write() as connection:
        return await LOG.publish(connection, 10)


async def test_an_empty_log_has_no_range(database: Database) -> None:
    async with database.read() as connection:
        assert await LOG.range(connection) == (0, 0)
        assert await LOG.after(connection, 0, 10) == []


async def test_events_after_an_id_come_in_order_and_limited(database: Database) -> None:
    await record(database, "a", "b", "c", "d")
    async with database.read() as connection:
        first, last = await LOG.range(connection)
        found = await LOG.after(connection, first, 2)
    assert last - first == 3
    assert [(one.id - first, one.kind, one.payload) for one in found] == [
        (1, "created", "b"), (2, "created", "c"),
    ]  # fmt: skip


async def test_what_is_rolled_back_was_never_recorded(database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with database.write() as connection:
            await LOG.record(connection, "created", "a")
            raise RuntimeError
    assert await publish(database) == 0
    async with database.read() as connection:
        assert await LOG.range(connection) == (0, 0)


async def test_old_events_are_forgotten_but_the_newest_stays(database: Database) -> None:
    await record(database, "a", "b", "c")
    async with database.read() as connection:
        _, last = await LOG.range(connection)
    async with database.write() as connection:
        await LOG.forget(connection, timedelta(hours=1))
        assert await LOG.range(connection) == (last - 2, last)
        await LOG.forget(connection, timedelta(0))
    async with database.read() as connection:
        assert await LOG.range(connection) == (last, last)
    await record(database, "d")
    async with database.read() as connection:
        assert await LOG.range(connection) == (last, last + 1)


@pytest.mark.postgresql
async def test_replicas_are_woken_by_what_is_published_and_by_nothing_else(
    postgres_url: str,
) -> None:
    listener = await asyncpg.connect(postgres_url)
    heard = asyncio.Event()
    await listener.add_listener(LOG.channel, lambda *_: heard.set())
    database = Database(settings_for(postgres_url), name="test")
    async with database.write() as connection:
        await LOG.record(connection, "created", "a")
    assert await publish(database) == 1
    async with asyncio.timeout(5):
        await heard.wait()
    heard.clear()
    assert await publish(database) == 0
    await listener.execute("SELECT 1")
    assert not heard.is_set()
    await database.close()
    await listener.close()


@pytest.mark.postgresql
async def test_no_more_are_published_at_once_than_wanted(postgres_url: str) -> None:
    database = Database(settings_for(postgres_url), name="test")
    async with database.write() as connection:
        for number in range(5):
            await LOG.record(connection, "created", str(number))
    moved = []
    for _ in range(3):
        async with database.write() as connection:
            moved.append(await LOG.publish(connection, 2))
    async with database.read() as connection:
        found = [one.payload for one in await LOG.after(connection, 0, 10)]
    assert (moved, found) == ([2, 2, 1], ["0", "1", "2", "3", "4"])
    await database.close()
