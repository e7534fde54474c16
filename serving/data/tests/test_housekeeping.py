"""Chores that are done again and again."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from serving.data import housekeeping
from serving.data.database import Database
from serving.data.housekeeping import Housekeeping
from serving.data.ids import new_id
from serving.tests.sample.tables import notes
from serving.tests.service import settings_for


async def write_note(connection: AsyncConnection) -> None:
    await connection.execute(
        insert(notes).values(id=new_id(), text="x", created_at=func.current_timestamp())
    )


async def fail(_: AsyncConnection) -> None:
    raise RuntimeError("no broom")


async def count(database: Database) -> Any:
    async with database.read() as connection:
        return await connection.scalar(select(func.count()).select_from(notes))


async def test_all_chores_are_one_transaction(sqlite_url: str) -> None:
    database = Database(settings_for(sqlite_url), name="test")
    await Housekeeping(database, [write_note, write_note]).do_chores()
    assert await count(database) == 2
    with pytest.raises(RuntimeError):
        await Housekeeping(database, [write_note, fail]).do_chores()
    assert await count(database) == 2
    await database.close()


async def test_chores_are_done_every_period_and_go_on_after_one_that_failed(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(housekeeping, "PERIOD_SECONDS", 0.01)
    done = 0

    async def sometimes(connection: AsyncConnection) -> None:
        nonlocal done
        done += 1
        if done == 1:
            await fail(connection)

    database = Database(settings_for(sqlite_url), name="test")
    keeper = Housekeeping(database, [sometimes])
    keeper.start()
    async with asyncio.timeout(5):
        while done < 3:
            await asyncio.sleep(0.01)
    await keeper.stop()
    await database.close()
    assert "old rows could not be removed: RuntimeError" in caplog.text


async def test_it_can_be_stopped_before_it_has_begun(sqlite_url: str) -> None:
    database = Database(settings_for(sqlite_url), name="test")
    await Housekeeping(database, []).stop()
    await database.close()
