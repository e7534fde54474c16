"""Changes of one todo that meet: each is made for what the one before left, and told after it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from pydantic_core import to_json
from sqlalchemy import text

from backend.tests.conftest import settings_for
from backend.todos import store
from backend.todos.errors import StaleVersion, TodoMissing
from backend.todos.events import LOG
from backend.todos.models import TodoDraft
from serving.data.database import Database
from serving.web.etag import condition

RACING = 12


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(
        settings_for(database_url, database_pool_size=RACING + 2, database_pool_timeout=20),
        name="test",
    )
    yield opened
    await opened.close()


async def create(database: Database, title: str = "x") -> UUID:
    made = await store.create_alone(database, TodoDraft(title=title), principal="me", key=None)
    assert isinstance(made, dict)
    todo_id: UUID = made["id"]
    return todo_id


async def retitle(
    database: Database, todo_id: UUID, title: str, if_match: str | None = None
) -> dict[str, Any]:
    def wanted(row: Mapping[Any, Any]) -> TodoDraft:
        return store.draft_of(row).model_copy(update={"title": title})

    return await store.change_alone(database, todo_id, condition(if_match), wanted)


async def told(database: Database) -> list[tuple[str, dict[str, Any]]]:
    """Every event in the log's order: its kind, and the todo."""
    async with database.write() as connection:
        await LOG.publish(connection, 1000)
    async with database.read() as connection:
        events = await LOG.after(connection, 0, 1000)
    return [(event.kind, json.loads(event.payload)) for event in events]


@asynccontextmanager
async def somebody_faster(
    database: Database, todo_id: UUID, change: Callable[[Any, Any], Awaitable[Any]]
) -> AsyncIterator[None]:
    """The block's change begins while this one is not committed yet, and has to wait for it."""
    async with database.write() as connection:
        row = await store.locked(connection, todo_id, None)
        await change(connection, row)
        yield
        if database.is_sqlite:
            await asyncio.sleep(0.1)
            return
        query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        async with asyncio.timeout(10):
            while not await connection.scalar(query):
                await asyncio.sleep(0.01)


async def describe(connection: Any, row: Any) -> None:
    draft = store.draft_of(row).model_copy(update={"description": "by somebody faster"})
    await store.change(connection, draft, row)


async def test_racing_changes_are_told_once_each_in_the_order_of_their_versions(
    database: Database,
) -> None:
    todo_id = await create(database)
    changed = await asyncio.gather(
        *(retitle(database, todo_id, f"title {number}") for number in range(RACING))
    )
    by_version = sorted(changed, key=lambda todo: todo["version"])
    events = await told(database)
    assert [kind for kind, _ in events] == ["created"] + ["updated"] * RACING
    assert [todo["version"] for _, todo in events] == list(range(1, RACING + 2))
    assert [todo["title"] for _, todo in events[1:]] == [todo["title"] for todo in by_version]


async def test_of_racing_deletions_one_wins_and_is_told(database: Database) -> None:
    todo_id = await create(database)
    ends = await asyncio.gather(
        *(store.remove_alone(database, todo_id, None) for _ in range(RACING)),
        return_exceptions=True,
    )
    assert sorted(type(end).__name__ for end in ends) == ["NoneType"] + ["TodoMissing"] * (
        RACING - 1
    )
    events = await told(database)
    assert events[1:] == [("deleted", {"id": str(todo_id), "version": 1})]


async def test_a_change_keeps_what_somebody_faster_has_changed(database: Database) -> None:
    todo_id = await create(database)
    async with asyncio.TaskGroup() as tasks, somebody_faster(database, todo_id, describe):
        task = tasks.create_task(retitle(database, todo_id, "new"))
    todo = task.result()
    assert (todo["title"], todo["description"]) == ("new", "by somebody faster")
    assert todo["version"] == 3
    assert [seen["version"] for _, seen in await told(database)] == [1, 2, 3]


async def test_a_deletion_tells_of_the_version_that_somebody_faster_has_made(
    database: Database,
) -> None:
    todo_id = await create(database)
    async with asyncio.TaskGroup() as tasks, somebody_faster(database, todo_id, describe):
        tasks.create_task(store.remove_alone(database, todo_id, None))
    assert (await told(database))[-1] == ("deleted", {"id": str(todo_id), "version": 2})


@pytest.mark.parametrize("kind", ["change", "deletion"])
async def test_the_version_that_was_asked_for_may_go_while_one_waits(
    database: Database, kind: str
) -> None:
    todo_id = await create(database)
    async with somebody_faster(database, todo_id, describe):
        task = asyncio.create_task(
            retitle(database, todo_id, "new", '"1"')
            if kind == "change"
            else store.remove_alone(database, todo_id, condition('"1"'))
        )
    with pytest.raises(StaleVersion) as raised:
        await task
    assert raised.value.version == 2
    assert [seen["version"] for _, seen in await told(database)] == [1, 2]


@pytest.mark.parametrize(
    ("if_match", "error"), [(None, TodoMissing), ("*", StaleVersion), ('"1"', StaleVersion)]
)
async def test_the_todo_may_go_while_one_waits(
    database: Database, if_match: str | None, error: type[Exception]
) -> None:
    todo_id = await create(database)
    async with somebody_faster(database, todo_id, store.remove):
        task = asyncio.create_task(retitle(database, todo_id, "new", if_match))
    with pytest.raises(error):
        await task
    assert [kind for kind, _ in await told(database)] == ["created", "deleted"]


async def test_what_is_told_of_a_change_is_what_its_caller_gets(database: Database) -> None:
    todo_id = await create(database)
    changed = await retitle(database, todo_id, "ü “quoted” \\ \u2028")
    _, event = (await told(database))[-1]
    assert event == json.loads(to_json(changed))
