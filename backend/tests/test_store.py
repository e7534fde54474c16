"""The store by itself, on either database: what its routes do not show."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from backend.tests.conftest import settings_for
from backend.todos import store
from backend.todos.models import TodoDraft
from backend.todos.pagination import Sort
from backend.todos.tables import todos
from serving.data.database import Database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(settings_for(database_url), name="test")
    yield opened
    await opened.close()


async def create(database: Database, title: str = "x") -> dict[str, Any]:
    made = await store.create_alone(database, TodoDraft(title=title), principal="me", key=None)
    assert isinstance(made, dict)
    return made


async def retitle(database: Database, todo_id: UUID, title: str) -> dict[str, Any]:
    return await store.change_alone(database, todo_id, None, lambda _: TodoDraft(title=title))


async def stored(database: Database, todo_id: UUID) -> Mapping[Any, Any]:
    async with database.read() as connection:
        found = await connection.execute(select(todos).where(todos.c.id == todo_id))
        return found.mappings().one()


async def test_a_page_is_read_with_one_todo_more_which_tells_of_the_next(
    database: Database,
) -> None:
    made = [await create(database, f"title {number}") for number in range(4)]
    rows = await database.rows(*store.page(store.Filter(), Sort("created_at"), 2, None))
    assert [row["id"] for row in rows] == [todo["id"] for todo in made[:3]]


async def test_a_change_says_when_it_was_made_and_leaves_other_todos_alone(
    database: Database,
) -> None:
    todo, other = await create(database), await create(database)
    before = await stored(database, other["id"])
    began = datetime.now(UTC)
    await retitle(database, todo["id"], "y")
    changed = await stored(database, todo["id"])
    assert began <= changed["updated_at"] <= datetime.now(UTC)
    assert changed["created_at"] == todo["created_at"]
    assert await stored(database, other["id"]) == before


async def test_a_change_after_one_by_a_fast_clock_does_not_go_back_in_time(
    database: Database,
) -> None:
    todo = await create(database)
    later = datetime.now(UTC) + timedelta(hours=1)
    async with database.write() as connection:
        await connection.execute(
            update(todos).where(todos.c.id == todo["id"]).values(updated_at=later)
        )
    changed = await retitle(database, todo["id"], "y")
    assert (changed["version"], changed["updated_at"]) == (2, later)
    assert (await stored(database, todo["id"]))["updated_at"] == later


async def test_a_deletion_leaves_other_todos_alone(database: Database) -> None:
    todo, other = await create(database), await create(database)
    await store.remove_alone(database, todo["id"], None)
    rows = await database.rows(*store.page(store.Filter(), Sort("created_at"), 9, None))
    assert [row["id"] for row in rows] == [other["id"]]


@pytest.mark.postgresql
async def test_a_change_that_meets_no_other_is_a_read_and_one_statement(postgres_url: str) -> None:
    """And so is a deletion: no transaction that is held open, no lock that is waited for."""
    database = Database(settings_for(postgres_url), name="test", pool_size=1)
    todo = await create(database)
    statements: list[str] = []
    async with database.read() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        driver.add_query_logger(lambda record: statements.append(record.query.split()[0]))
    await retitle(database, todo["id"], "y")
    # asyncpg tells its loggers a little later.
    await asyncio.sleep(0)
    assert statements == ["SELECT", "WITH"]
    await store.remove_alone(database, todo["id"], None)
    await asyncio.sleep(0)
    assert statements == ["SELECT", "WITH"] * 2
    await database.close()
