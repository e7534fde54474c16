"""Remembered Idempotency-Keys (draft-ietf-httpapi-idempotency-key-header): one creation a key."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table, delete, select, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

# How long a creation waits for another one that came with the same key.
KEY_WAIT = timedelta(seconds=2)
LOCK_NOT_AVAILABLE = "55P03"

_LOCK_TIMEOUT = text("SELECT set_config('lock_timeout', :value, true)")


class KeyInUse(Exception):  # noqa: N818  (a state, in the reader's words)
    """The first request with this key is not answered yet."""


class KeyReused(Exception):  # noqa: N818
    """The key came before with another body."""


@dataclass(frozen=True, kw_only=True)
class KeyedRequest:
    """A request that may be repeated safely.

    Attributes:
        principal: whose key it is; keys of two principals do not meet.
        key: what the client made up.
        fingerprint: a hash of the body, to tell a repetition from another request.
    """

    principal: str
    key: str
    fingerprint: str


class IdempotencyKeys:
    """A table of keys that were seen, each with the response that its first request got.

    Two requests with one key that arrive at the same time meet at the key's unique index: the
    second waits until the first has committed, and is then a repetition.

    Args:
        table: columns principal and key (its primary key), fingerprint, response, created_at, and
            whatever else `remember` is given.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    async def remember(
        self, connection: AsyncConnection, request: KeyedRequest, response: str, **more: Any
    ) -> Any:
        """Store a key with the response to be, or find it.

        Returns:
            `None` for the first request with the key; else the row that the first one left.

        Raises:
            KeyReused: the first one had another body.
            KeyInUse: the first one takes longer than `KEY_WAIT`.
        """
        values = {
            "principal": request.principal,
            "key": request.key,
            "fingerprint": request.fingerprint,
            "response": response,
            "created_at": datetime.now(UTC),
            **more,
        }
        if await self._insert(connection, values):
            return None
        query = select(self._table).where(
            self._table.c.principal == request.principal, self._table.c.key == request.key
        )
        first = (await connection.execute(query)).one()
        if first.fingerprint != request.fingerprint:
            raise KeyReused
        return first

    async def forget(self, connection: AsyncConnection, age: timedelta) -> None:
        """Remove keys that are older than that."""
        created_at = self._table.c.created_at
        await connection.execute(delete(self._table).where(created_at < datetime.now(UTC) - age))

    async def _insert(self, connection: AsyncConnection, values: dict[str, Any]) -> bool:
        """Store a key; false when it came before."""
        if connection.dialect.name == "sqlite":
            # Its transactions that write come one after another: there is nobody to wait for here.
            statement: Any = sqlite_insert(self._table).values(values)
            return (await connection.execute(statement.on_conflict_do_nothing())).rowcount == 1
        statement = postgresql_insert(self._table).values(values)
        await connection.execute(
            _LOCK_TIMEOUT, {"value": f"{KEY_WAIT // timedelta(milliseconds=1)}"}
        )
        try:
            added = await connection.execute(statement.on_conflict_do_nothing())
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
            raise KeyInUse from error
        # Other locks of this transaction have the statement timeout only.
        await connection.execute(_LOCK_TIMEOUT, {"value": "0"})
        return added.rowcount == 1
