"""The store of todos: every function takes the connection it works on, so callers own transactions.

Each change is recorded in the change feed in the same transaction, so the feed misses nothing and
tells of nothing that was rolled back.
"""

import functools
import hashlib
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Integer, Text, bindparam, delete, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from backend.todos.models import PRIORITY_RANKS, Priority, State, TodoDraft, document
from backend.todos.pagination import Sort
from backend.todos.tables import events, idempotency_keys, todos
from serving.data.database import Query
from serving.web.problems import Problem

CHANNEL = "todo_events"
# "feed" in ASCII; see `record`.
FEED_LOCK = 0x66656564

# How long a creation waits for another one that came with the same Idempotency-Key.
KEY_WAIT = timedelta(seconds=2)
LOCK_NOT_AVAILABLE = "55P03"

_COLUMNS = list(todos.c)
ONE = Query(select(*_COLUMNS).where(todos.c.id == bindparam("todo_id")))
_LOCK_TIMEOUT = text("SELECT set_config('lock_timeout', :value, true)")
_NOTIFY = text(f"SELECT pg_advisory_xact_lock({FEED_LOCK}), pg_notify('{CHANNEL}', '')")


def new_id() -> UUID:
    """A UUID of version 7 (RFC 9562 section 5.7): time-ordered, so that indexes grow at one end."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    high = (milliseconds << 16) | 0x7000 | (random >> 68)
    low = (random & ((1 << 62) - 1)) | (1 << 63)
    return UUID(int=(high << 64) | low)


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


async def create(
    connection: AsyncConnection, draft: TodoDraft, *, principal: str, key: str | None
) -> dict[str, Any] | Replay:
    """Insert a todo, once per principal and Idempotency-Key.

    Two requests with one key that arrive at the same time meet at the key's unique index: the
    second waits until the first has committed, and is then a replay.

    Raises:
        Problem: 422, the key came before with another body; 409, the first request with it takes
            longer than `KEY_WAIT` (as draft-ietf-httpapi-idempotency-key-header has it).
    """
    now = datetime.now(UTC)
    row = {**_values(draft), "id": new_id(), "version": 1, "created_at": now, "updated_at": now}
    todo = document(row)
    if key is not None:
        fingerprint = hashlib.sha256(draft.model_dump_json().encode()).hexdigest()
        is_first = await _remember(
            connection,
            {
                "principal": principal,
                "key": key,
                "fingerprint": fingerprint,
                "todo_id": row["id"],
                "response": to_json(todo).decode(),
                "created_at": now,
            },
        )
        if not is_first:
            return await _replay(connection, principal, key, fingerprint)
    await connection.execute(insert(todos).values(row))
    await record(connection, "created", todo)
    return todo


async def change(
    connection: AsyncConnection, todo_id: UUID, new: TodoDraft, row: Any
) -> dict[str, Any]:
    """Store a draft over the row that `locked` returned.

    A draft that changes nothing makes no new version and no event.
    """
    values = _values(new)
    if all(getattr(row, name) == value for name, value in values.items()):
        return document(row._mapping)  # noqa: SLF001  (SQLAlchemy's public name for it)
    values["version"] = row.version + 1
    # Clocks of replicas differ; the constraint wants time to move forward.
    values["updated_at"] = max(datetime.now(UTC), row.updated_at)
    await connection.execute(update(todos).where(todos.c.id == todo_id).values(values))
    todo = document({**row._mapping, **values})  # noqa: SLF001
    await record(connection, "updated", todo)
    return todo


async def remove(connection: AsyncConnection, row: Any) -> None:
    """Delete the row that `locked` returned."""
    await connection.execute(delete(todos).where(todos.c.id == row.id))
    await record(connection, "deleted", {"id": row.id, "version": row.version})


async def locked(connection: AsyncConnection, todo_id: UUID, if_match: str | None) -> Any:
    """The row of a todo, kept from changing until the transaction ends.

    Raises:
        Problem: 404, there is none; 412, If-Match lacks its ETag (RFC 9110 section 13.1.1).
    """
    query = ONE.select
    if connection.dialect.name != "sqlite":
        query = query.with_for_update()
    row = (await connection.execute(query, {"todo_id": todo_id})).first()
    if row is None:
        if if_match is not None:
            raise Problem(412, "version-mismatch", f"no todo has the id {todo_id}")
        raise missing(todo_id)
    if if_match is not None and not matches(if_match, row.version):
        raise Problem(
            412,
            "version-mismatch",
            f"If-Match: got {if_match}, but the todo's ETag is {etag(row.version)}; read it again",
            headers={"ETag": etag(row.version)},
        )
    return row


def missing(todo_id: UUID) -> Problem:
    """404 for a todo."""
    return Problem(404, "not-found", f"no todo has the id {todo_id}")


def etag(version: int) -> str:
    """The strong entity tag of a version."""
    return f'"{version}"'


def matches(header: str, version: int) -> bool:
    """Whether a list of entity tags names a version; weak ones never do (strong comparison)."""
    tags = [tag.strip() for tag in header.split(",")]
    return tags == ["*"] or etag(version) in tags


async def record(connection: AsyncConnection, kind: str, todo: dict[str, Any]) -> None:
    """Add an event to the change feed and, on PostgreSQL, wake the other replicas at commit.

    The lock is held until the commit, so that ids become visible in the order in which they were
    given out; a resuming reader could otherwise pass one by. NOTIFY itself takes such a lock at
    commit, so the price is small.
    """
    if connection.dialect.name != "sqlite":
        await connection.execute(_NOTIFY)
    await connection.execute(
        insert(events).values(
            kind=kind,
            todo_id=todo["id"],
            payload=to_json(todo).decode(),
            created_at=datetime.now(UTC),
        )
    )


async def purge(connection: AsyncConnection, *, keys: timedelta, feed: timedelta) -> None:
    """Forget Idempotency-Keys and events that are older than the given ages.

    The newest event stays, so that a client which resumes can be told whether it missed any.
    """
    now = datetime.now(UTC)
    await connection.execute(
        delete(idempotency_keys).where(idempotency_keys.c.created_at < now - keys)
    )
    newest = select(func.max(events.c.id)).scalar_subquery()
    await connection.execute(
        delete(events).where(events.c.created_at < now - feed, events.c.id < newest)
    )


async def events_after(connection: AsyncConnection, event_id: int, limit: int) -> Sequence[Any]:
    """Events with larger ids, oldest first."""
    query = (
        select(events.c.id, events.c.kind, events.c.payload)
        .where(events.c.id > event_id)
        .order_by(events.c.id)
        .limit(limit)
    )
    return (await connection.execute(query)).all()


async def event_range(connection: AsyncConnection) -> tuple[int, int]:
    """The smallest and the largest id in the feed; (0, 0) when it is empty."""
    query = select(func.min(events.c.id), func.max(events.c.id))
    first, last = (await connection.execute(query)).one()
    return first or 0, last or 0


def draft_of(row: Any) -> TodoDraft:
    """What a row says, as the draft that would have made it."""
    return TodoDraft.model_construct(
        title=row.title,
        description=row.description,
        state=State(row.state),
        priority=list(Priority)[row.priority],
        due=row.due,
        tags=row.tags,
    )


def _values(draft: TodoDraft) -> dict[str, Any]:
    return {
        "title": draft.title,
        "description": draft.description,
        "state": draft.state.value,
        "priority": PRIORITY_RANKS[draft.priority],
        "due": draft.due,
        "tags": draft.tags,
    }


async def _remember(connection: AsyncConnection, values: dict[str, Any]) -> bool:
    """Store an Idempotency-Key; false when it came before."""
    if connection.dialect.name == "sqlite":
        # Its transactions that write come one after another: there is nobody to wait for here.
        statement: Any = sqlite_insert(idempotency_keys).values(values)
        return (await connection.execute(statement.on_conflict_do_nothing())).rowcount == 1
    statement = postgresql_insert(idempotency_keys).values(values)
    await connection.execute(_LOCK_TIMEOUT, {"value": f"{KEY_WAIT // timedelta(milliseconds=1)}"})
    try:
        added = await connection.execute(statement.on_conflict_do_nothing())
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise Problem(
            409,
            "idempotency-key-in-use",
            "Idempotency-Key: the first request with it is not answered yet; try again",
            headers={"Retry-After": "1"},
        ) from error
    # Other locks of this transaction have the statement timeout only.
    await connection.execute(_LOCK_TIMEOUT, {"value": "0"})
    return added.rowcount == 1


async def _replay(
    connection: AsyncConnection, principal: str, key: str, fingerprint: str
) -> Replay:
    query = select(idempotency_keys).where(
        idempotency_keys.c.principal == principal, idempotency_keys.c.key == key
    )
    first = (await connection.execute(query)).one()
    if first.fingerprint != fingerprint:
        raise Problem(
            422, "idempotency-key-reused", "Idempotency-Key: it came before with another body"
        )
    return Replay(first.todo_id, first.response.encode())
