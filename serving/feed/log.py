"""The table of events that a service records and its feed follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table, delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, kw_only=True)
class EventLog:
    """Events in the order in which they were committed.

    Attributes:
        table: columns id (rising), kind, payload (JSON), created_at, and whatever else `record` is
            given.
        channel: of PostgreSQL's notifications, which say nothing but "look".
        lock: key of the advisory lock under which ids are given out.
    """

    table: Table
    channel: str
    lock: int

    async def record(
        self, connection: AsyncConnection, kind: str, payload: str, **more: Any
    ) -> None:
        """Add an event in the caller's transaction and, on PostgreSQL, wake replicas at its commit.

        The lock is held until the commit, so that ids become visible in the order in which they
        were given out; a resuming reader could otherwise pass one by. NOTIFY itself takes such a
        lock at commit, so the price is small.
        """
        if connection.dialect.name != "sqlite":
            await connection.execute(_NOTIFY, {"key": self.lock, "channel": self.channel})
        await connection.execute(
            insert(self.table).values(
                kind=kind, payload=payload, created_at=datetime.now(UTC), **more
            )
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


_NOTIFY = text("SELECT pg_advisory_xact_lock(:key), pg_notify(:channel, '')")
