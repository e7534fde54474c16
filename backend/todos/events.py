"""What the change feed carries: each change of a todo, recorded with it."""

from typing import Any

from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncConnection

from backend.todos.tables import events, outbox
from serving.feed.log import EventLog

# The key is "feed" in ASCII.
LOG = EventLog(table=events, outbox=outbox, channel="todo_events", lock=0x66656564)


async def record(connection: AsyncConnection, kind: str, todo: dict[str, Any]) -> None:
    """Tell of a change in the transaction that makes it.

    Args:
        connection: of the transaction.
        kind: `created`, `updated` or `deleted`.
        todo: its members; of a deleted one, id and version.
    """
    await LOG.record(connection, kind, to_json(todo).decode(), todo_id=todo["id"])


def message(event: Any) -> str:
    """An event as subscribers get it, in JSON."""
    return f'{{"id":{event.id},"kind":"{event.kind}","todo":{event.payload}}}'
