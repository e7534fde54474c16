"""The table of events that a service records and its feed follows.

On PostgreSQL it has an outbox. A transaction that changes something puts its event there, which
takes no lock: strangers commit side by side. Once committed, events are moved into the log, which
is where they get the id that clients see. One transaction at a time moves, so ids become visible in
the order in which they are given out, and a reader that has seen one has missed none below it.

Two changes of one thing keep their order: the second waits for the first's row lock, so it draws
its place in the outbox after the first is committed, and who sees the second sees the first too.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Insert,
    Table,
    TextClause,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, kw_only=True)
class EventLog:
    """Events, each after all that were committed before its change began.

    Attributes:
        table: columns id (rising), kind, payload (JSON), created_at, and whatever else `record` is
            given.
        outbox: the same columns; events that are recorded and not yet in the log. SQLite, whose
            transactions that write come one after another, does without.
        channel: of PostgreSQL's notifications, which say nothing but "look".
        lock: key of the advisory lock under which ids are given out.
    """

    table: Table
    outbox: Table
    channel: str
    lock: int

    async def record(
        self, connection: AsyncConnection, kind: str, payload: str, **more: Any
    ) -> None:
        """Add an event in the caller's transaction, after whatever locks the thing it is about.

        On PostgreSQL it is in the log once it was published.
        """
        table = self.table if connection.dialect.name == "sqlite" else self.outbox
        await connection.execute(
            insert(table).values(kind=kind, payload=payload, created_at=datetime.now(UTC), **more)
        )

    def recording(self, **more: Any) -> CTE:
        """As a part of another statement on PostgreSQL: its parameters are event_kind and so on.

        It must be about a thing that the statement itself makes, which nobody else can change yet.
        """
        values = {**self._parameters(), **more}
        return insert(self.outbox).values(values).returning(self.outbox.c.id).cte("event")

    def recording_of(self, changed: CTE, **more: Any) -> Insert:
        """An event if `changed` has changed a row, in one statement on PostgreSQL.

        The place in the outbox is drawn as the row arrives, so after its lock was waited for.
        Parameters are those of `recording`. It returns a row for each event.

        Args:
            changed: an UPDATE or DELETE of one row at most, RETURNING what `more` needs of it.
            more: other columns.
        """
        columns = {**self._parameters(), **more}
        rows = select(*columns.values()).select_from(changed)
        return insert(self.outbox).from_select(list(columns), rows).returning(self.outbox.c.id)

    def _parameters(self) -> dict[str, ColumnElement[Any]]:
        return {
            name: bindparam(f"event_{name}", type_=self.outbox.c[name].type)
            for name in ("kind", "payload", "created_at")
        }

    async def publish(self, connection: AsyncConnection, limit: int) -> int:
        """Move committed events from the outbox to the log, and wake the replicas if there are any.

        Args:
            connection: of a transaction, with nothing else in it: it holds up other publishers.
            limit: of events.

        Returns:
            How many were moved. Fewer than `limit`: all that were committed when it began.
        """
        if connection.dialect.name == "sqlite":
            return 0
        # A statement of its own: the next one sees what the last publisher has committed.
        await connection.execute(_LOCK, {"key": self.lock})
        moved = await connection.execute(self._move, {"limit": limit, "channel": self.channel})
        return moved.scalar() or 0

    @functools.cached_property
    def _move(self) -> TextClause:
        """The ids of the log are drawn in the order of the outbox, whose own come first in it."""
        names = ", ".join(column.name for column in self.outbox.c if column.name != "id")
        return text(
            f"WITH next AS (SELECT id FROM {self.outbox.name} ORDER BY id LIMIT :limit), "  # noqa: S608  (names of the code's own)
            f"taken AS (DELETE FROM {self.outbox.name} WHERE id IN (SELECT id FROM next) "
            f"RETURNING id, {names}), "
            f"moved AS (INSERT INTO {self.table.name} ({names}) "
            f"SELECT {names} FROM taken ORDER BY taken.id RETURNING id) "
            "SELECT count(*), pg_notify(:channel, '') FROM moved HAVING count(*) > 0"
        )

    async def after(self, connection: AsyncConnection, event_id: int, limit: int) -> Sequence[Any]:
        """Events with larger ids, oldest first."""
        events = self.table
        query = (
            select(events.c.id, events.c.kind, events.c.payload)
            .where(events.c.id > event_id)
            .order_by(events.c.id)
            .limit(limit)
        )
        return (await connection.execute(query)).all()

    async def range(self, connection: AsyncConnection) -> tuple[int, int]:
        """The smallest and the largest id; (0, 0) when there is no event."""
        query = select(func.min(self.table.c.id), func.max(self.table.c.id))
        first, last = (await connection.execute(query)).one()
        return first or 0, last or 0

    async def forget(self, connection: AsyncConnection, age: timedelta) -> None:
        """Remove events that are older than that.

        The newest event stays, so that a client which resumes can be told whether it missed any.
        """
        events = self.table
        newest = select(func.max(events.c.id)).scalar_subquery()
        await connection.execute(
            delete(events).where(
                events.c.created_at < datetime.now(UTC) - age, events.c.id < newest
            )
        )


_LOCK = text("SELECT pg_advisory_xact_lock(:key)")
