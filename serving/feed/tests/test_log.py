"""The table of events."""

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
async def test_replicas_are_woken_at_the_commit_and_not_before(postgres_url: str) -> None:
    import asyncio

    listener = await asyncpg.connect(postgres_url)
    heard = asyncio.Event()
    await listener.add_listener(LOG.channel, lambda *_: heard.set())
    database = Database(settings_for(postgres_url), name="test")
    async with database.write() as connection:
        await LOG.record(connection, "created", "a")
        await listener.execute("SELECT 1")
        assert not heard.is_set()
    async with asyncio.timeout(5):
        await heard.wait()
    await database.close()
    await listener.close()
