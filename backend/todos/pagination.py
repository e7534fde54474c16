"""Keyset pagination: a cursor names the last item that was sent, not a number of items to skip."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, func, tuple_

from backend.todos.errors import BadCursor
from backend.todos.tables import PRIORITIES, todos
from serving.data.types import EARLIEST, LATEST, Moment

# Todos without a due date come last in either direction.
# Both lie beyond every due date, and within what PostgreSQL's driver does not take for infinity.
NEVER = LATEST
LONG_AGO = EARLIEST - timedelta(seconds=1)


@dataclass(frozen=True)
class Sort:
    """An order of the list: the column, and whether it falls."""

    name: str

    @property
    def column(self) -> str:
        """The column's name."""
        return self.name.removeprefix("-")

    @property
    def is_descending(self) -> bool:
        """Whether the largest value comes first."""
        return self.name.startswith("-")

    @property
    def key(self) -> ColumnElement[Any]:
        """What is compared; never NULL."""
        column = todos.c[self.column]
        if column.nullable:
            return func.coalesce(column, bindparam("missing", type_=Moment), type_=Moment)
        return column

    @property
    def missing(self) -> datetime:
        """What stands for NULL."""
        return LONG_AGO if self.is_descending else NEVER

    def apply(self, query: Select[Any]) -> Select[Any]:
        """The query in this order."""
        if self.is_descending:
            return query.order_by(self.key.desc(), todos.c.id.desc())
        return query.order_by(self.key, todos.c.id)

    def is_behind(self, value: str, identity: str) -> ColumnElement[bool]:
        """The condition that a row comes later than the position which two parameters name."""
        here = tuple_(self.key, todos.c.id)
        position = tuple_(
            bindparam(value, type_=self.key.type), bindparam(identity, type_=todos.c.id.type)
        )
        return here < position if self.is_descending else here > position

    def position(self, row: Mapping[Any, Any]) -> tuple[Any, UUID]:
        """Where a row stands in this order."""
        value = row[self.column]
        return (self.missing if value is None else value), row["id"]


def encode(sort: Sort, position: tuple[Any, UUID]) -> str:
    """A cursor for everything behind a position."""
    value, identity = position
    if isinstance(value, datetime):
        value = value.isoformat()
    text = json.dumps([sort.name, value, identity.hex], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(sort: Sort, cursor: str) -> tuple[Any, UUID]:
    """The position that a cursor names.

    Raises:
        BadCursor: it is not ours or belongs to another order.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        name, value, identity = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        position = _value(sort, value), UUID(hex=identity)
    except (
        ValueError,
        TypeError,
        AttributeError,
        binascii.Error,
        RecursionError,
        OverflowError,
    ) as error:
        raise BadCursor("expected one from next_cursor") from error
    if name != sort.name:
        raise BadCursor(f"expected one of sort={sort.name}")
    return position


def _value(sort: Sort, value: object) -> object:
    if sort.column == "priority":
        if type(value) is not int or not 0 <= value < len(PRIORITIES):
            raise ValueError("not a priority")
        return value
    if not isinstance(value, str):
        raise TypeError("not a time")
    moment = datetime.fromisoformat(value)
    if moment.utcoffset() is None:
        raise ValueError("not an aware time")
    moment = moment.astimezone(UTC)
    if not LONG_AGO <= moment <= NEVER:
        raise ValueError("not a time that a todo can have")
    return moment
