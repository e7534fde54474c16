"""The store of todos: functions take the connection they work on, so callers own transactions.

Those whose names end in `_alone`, for which round trips count, have one of their own. On PostgreSQL
they hold no transaction open: a change is made for the version that was read before, and where
somebody else was faster it is made once more, under the row's lock.

Each change is recorded in the change feed in the same transaction, so the feed misses nothing and
tells of nothing that was rolled back.
"""

import functools
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Integer, Text, Uuid, and_, bindparam, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from backend.todos.errors import StaleVersion, TodoMissing
from backend.todos.events import LOG, record
from backend.todos.models import PRIORITY_RANKS, Priority, State, TodoDraft, document
from backend.todos.pagination import Sort
from backend.todos.tables import idempotency_keys, todos
from serving.data.database import Command, Database, Query
from serving.data.idempotency import IdempotencyKeys, KeyedRequest
from serving.data.ids import new_id

KEYS = IdempotencyKeys(idempotency_keys)

_COLUMNS = list(todos.c)
ONE = Query(select(*_COLUMNS).where(todos.c.id == bindparam("todo_id")))
_NEW = {column.name: bindparam(f"new_{column.name}", type_=column.type) for column in _COLUMNS}
_CREATE = Command(
    insert(todos).values(_NEW).add_cte(LOG.recording(todo_id=bindparam("new_id", type_=Uuid)))
)
_IS_AT_VERSION = and_(
    todos.c.id == bindparam("todo_id"), todos.c.version == bindparam("old_version")
)
_CHANGED = (
    update(todos)
    .where(_IS_AT_VERSION)
    .values({name: _NEW[name] for name in _NEW if name not in {"id", "created_at"}})
    .returning(todos.c.id)
    .cte("changed")
)
_CHANGE = Command(LOG.recording_of(_CHANGED, todo_id=_CHANGED.c.id))
_REMOVED = delete(todos).where(_IS_AT_VERSION).returning(todos.c.id).cte("removed")
_REMOVE = Command(LOG.recording_of(_REMOVED, todo_id=_REMOVED.c.id))


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which todos a list holds; `None` and empty do not filter."""

    states: tuple[State, ...] = ()
    priorities: tuple[Priority, ...] = ()
    due_from: datetime | None = None
    due_before: datetime | None = None
    text: str | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The parameters of the conditions."""
        values: dict[str, Any] = {}
        for number, state in enumerate(self.states):
            values[f"state_{number}"] = state.value
        for number, priority in enumerate(self.priorities):
            values[f"priority_{number}"] = PRIORITY_RANKS[priority]
        if self.due_from is not None:
            values["due_from"] = self.due_from
        if self.due_before is not None:
            values["due_before"] = self.due_before
        if self.text is not None:
            escaped = re.sub(r"([/%_])", r"/\1", self.text)
            values["text"] = f"%{escaped}%"
        return values


def page(
    which: Filter, sort: Sort, limit: int, after: tuple[Any, UUID] | None
) -> tuple[Query, dict[str, Any]]:
    """The query, and its values, for one page and one item more, which tells if there is a next."""
    values = which.values
    query = _page(sort, frozenset(values), after is not None)
    values["limit"] = limit + 1
    values["missing"] = sort.missing
    if after is not None:
        values["after_value"], values["after_id"] = after
    return query, values


@functools.lru_cache(maxsize=1024)
def _page(sort: Sort, conditions: frozenset[str], is_continued: bool) -> Query:
    query = select(*_COLUMNS)
    for column, prefix in ((todos.c.state, "state_"), (todos.c.priority, "priority_")):
        names = sorted(name for name in conditions if name.startswith(prefix))
        if names:
            query = query.where(or_(*(column == bindparam(name) for name in names)))
    if "due_from" in conditions:
        query = query.where(todos.c.due >= bindparam("due_from"))
    if "due_before" in conditions:
        query = query.where(todos.c.due < bindparam("due_before"))
    if "text" in conditions:
        wanted = bindparam("text", type_=Text)
        columns = (todos.c.title, todos.c.description)
        query = query.where(or_(*(column.ilike(wanted, escape="/") for column in columns)))
    if is_continued:
        query = query.where(sort.is_behind("after_value", "after_id"))
    return Query(sort.apply(query).limit(bindparam("limit", type_=Integer)))


@dataclass(frozen=True)
class Replay:
    """The first response to an Idempotency-Key that came before."""

    todo_id: UUID
    body: bytes


async def create_alone(
    database: Database, draft: TodoDraft, *, principal: str, key: str | None
) -> dict[str, Any] | Replay:
    """As `create`, in a transaction of its own: on PostgreSQL without a key, one statement.

    Raises:
        KeyReused: the key came before with another body.
        KeyInUse: the first request with it takes too long.
    """
    if key is not None or database.is_sqlite:
        async with database.write() as connection:
            return await create(connection, draft, principal=principal, key=key)
    row = _new(draft)
    todo = document(row)
    values = {f"new_{name}": value for name, value in row.items()}
    values["event_kind"] = "created"
    values["event_payload"] = to_json(todo).decode()
    values["event_created_at"] = row["created_at"]
    await database.run(_CREATE, values)
    return todo


async def create(
    connection: AsyncConnection, draft: TodoDraft, *, principal: str, key: str | None
) -> dict[str, Any] | Replay:
    """Insert a todo, once per principal and Idempotency-Key.

    Raises:
        KeyReused: the key came before with another body.
        KeyInUse: the first request with it takes too long.
    """
    row = _new(draft)
    todo = document(row)
    if key is not None:
        fingerprint = hashlib.sha256(draft.model_dump_json().encode()).hexdigest()
        request = KeyedRequest(principal=principal, key=key, fingerprint=fingerprint)
        first = await KEYS.remember(connection, request, to_json(todo).decode(), todo_id=row["id"])
        if first is not None:
            return Replay(first.todo_id, first.response.encode())
    await connection.execute(insert(todos).values(row))
    await record(connection, "created", todo)
    return todo


async def change_alone(
    database: Database,
    todo_id: UUID,
    accepts: Callable[[int], bool] | None,
    wanted: Callable[[Mapping[Any, Any]], TodoDraft],
) -> dict[str, Any]:
    """As `change` of the row that `locked` returns, in a transaction of its own.

    Args:
        database: where the todo is.
        todo_id: of the todo.
        accepts: whether the caller accepts a version; `None` accepts any.
        wanted: what a row shall become; may be asked twice.

    Raises:
        TodoMissing: there is none, and no version was asked for.
        StaleVersion: its version is not accepted, or there is none.
    """
    if not database.is_sqlite:
        row = _accepted(await database.rows(ONE, {"todo_id": todo_id}), todo_id, accepts)
        values = _changed(wanted(row), row)
        todo = document({**row, **values})
        if not values or await _run(database, _CHANGE, "updated", row, values, todo):
            return todo
    async with database.write() as connection:
        row = await locked(connection, todo_id, accepts)
        return await change(connection, wanted(row), row)


async def change(
    connection: AsyncConnection, new: TodoDraft, row: Mapping[Any, Any]
) -> dict[str, Any]:
    """Store a draft over the row that `locked` returned.

    A draft that changes nothing makes no new version and no event.
    """
    values = _changed(new, row)
    todo = document({**row, **values})
    if values:
        await connection.execute(update(todos).where(todos.c.id == row["id"]).values(values))
        await record(connection, "updated", todo)
    return todo


async def remove_alone(
    database: Database, todo_id: UUID, accepts: Callable[[int], bool] | None
) -> None:
    """As `remove` of the row that `locked` returns, in a transaction of its own.

    Raises:
        TodoMissing: there is none, and no version was asked for.
        StaleVersion: its version is not accepted, or there is none.
    """
    if not database.is_sqlite:
        row = _accepted(await database.rows(ONE, {"todo_id": todo_id}), todo_id, accepts)
        if await _run(database, _REMOVE, "deleted", row, {}, _remains(row)):
            return
    async with database.write() as connection:
        row = await locked(connection, todo_id, accepts)
        await remove(connection, row)


async def remove(connection: AsyncConnection, row: Mapping[Any, Any]) -> None:
    """Delete the row that `locked` returned."""
    await connection.execute(delete(todos).where(todos.c.id == row["id"]))
    await record(connection, "deleted", _remains(row))


async def locked(
    connection: AsyncConnection, todo_id: UUID, accepts: Callable[[int], bool] | None
) -> Mapping[Any, Any]:
    """The row of a todo, kept from changing until the transaction ends.

    Args:
        connection: of a transaction.
        todo_id: of the todo.
        accepts: whether the caller accepts a version; `None` accepts any.

    Raises:
        TodoMissing: there is none, and no version was asked for.
        StaleVersion: its version is not accepted, or there is none.
    """
    query = ONE.select
    if connection.dialect.name != "sqlite":
        query = query.with_for_update()
    rows = (await connection.execute(query, {"todo_id": todo_id})).mappings().all()
    return _accepted(rows, todo_id, accepts)


def _accepted(
    rows: Sequence[Mapping[Any, Any]], todo_id: UUID, accepts: Callable[[int], bool] | None
) -> Mapping[Any, Any]:
    """The row, where the caller accepts it."""
    version = rows[0]["version"] if rows else None
    if accepts is not None and (version is None or not accepts(version)):
        raise StaleVersion(todo_id, version, accepts)
    if not rows:
        raise TodoMissing(todo_id)
    return rows[0]


async def _run(
    database: Database,
    command: Command,
    kind: str,
    row: Mapping[Any, Any],
    values: dict[str, Any],
    told: dict[str, Any],
) -> bool:
    """Do a command to the version of a todo that was read; whether it still was at it."""
    parameters = {f"new_{name}": value for name, value in values.items()}
    parameters["todo_id"] = row["id"]
    parameters["old_version"] = row["version"]
    parameters["event_kind"] = kind
    parameters["event_payload"] = to_json(told).decode()
    parameters["event_created_at"] = datetime.now(UTC)
    return bool(await database.run(command, parameters))


def draft_of(row: Mapping[Any, Any]) -> TodoDraft:
    """What a row says, as the draft that would have made it."""
    return TodoDraft.model_construct(
        title=row["title"],
        description=row["description"],
        state=State(row["state"]),
        priority=list(Priority)[row["priority"]],
        due=row["due"],
        tags=row["tags"],
    )


def _new(draft: TodoDraft) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {**_values(draft), "id": new_id(), "version": 1, "created_at": now, "updated_at": now}


def _values(draft: TodoDraft) -> dict[str, Any]:
    return {
        "title": draft.title,
        "description": draft.description,
        "state": draft.state.value,
        "priority": PRIORITY_RANKS[draft.priority],
        "due": draft.due,
        "tags": draft.tags,
    }


def _changed(new: TodoDraft, row: Mapping[Any, Any]) -> dict[str, Any]:
    """The values of the next version; none where the draft changes nothing."""
    values = _values(new)
    if all(row[name] == value for name, value in values.items()):
        return {}
    values["version"] = row["version"] + 1
    # Clocks of replicas differ; the constraint wants time to move forward.
    values["updated_at"] = max(datetime.now(UTC), row["updated_at"])
    return values


def _remains(row: Mapping[Any, Any]) -> dict[str, Any]:
    """What is told of a deleted todo."""
    return {"id": row["id"], "version": row["version"]}
