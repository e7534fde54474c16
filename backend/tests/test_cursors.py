"""A cursor names a position exactly, and nothing else is taken for one."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.dialects import sqlite

from backend.todos.errors import BadCursor
from backend.todos.models import Priority
from backend.todos.pagination import LONG_AGO, NEVER, Sort, decode, encode
from backend.todos.tables import todos

ID = UUID(int=7)
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def cursor(*members: object) -> str:
    """A cursor made by somebody who knows the format."""
    text = json.dumps(members, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def refused(sort: str, text: str) -> str:
    with pytest.raises(BadCursor) as caught:
        decode(Sort(sort), text)
    return str(caught.value)


def sql(condition: Any) -> str:
    return " ".join(str(condition.compile(dialect=sqlite.dialect(paramstyle="named"))).split())


@pytest.mark.parametrize(
    ("sort", "value"),
    [
        ("priority", 0),
        ("-priority", len(Priority) - 1),
        ("due", NOON),
        ("due", NEVER),
        ("-due", LONG_AGO),
        ("created_at", NOON + timedelta(microseconds=1)),
    ],
)
def test_a_position_comes_back(sort: str, value: object) -> None:
    made = encode(Sort(sort), (value, ID))
    assert decode(Sort(sort), made) == (value, ID)
    # It can stand in a query string as it is.
    assert made.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("extra", range(4))
def test_a_cursor_of_any_length_is_filled_up(extra: int) -> None:
    made = cursor("x" * extra, 0, ID.hex)
    assert refused("priority", made) == "expected one of sort=priority"


@pytest.mark.parametrize(
    "value",
    [-1, len(Priority), True, 1.0, "1", None, [1]],
)
def test_what_is_no_priority_is_refused(value: object) -> None:
    made = cursor("priority", value, ID.hex)
    assert refused("priority", made) == "expected one from next_cursor"


@pytest.mark.parametrize(
    "value",
    [
        "2030-01-01T12:00:00",
        "yesterday",
        (LONG_AGO - timedelta(microseconds=1)).isoformat(),
        (NEVER + timedelta(microseconds=1)).isoformat(),
        # Out of what can be said in UTC.
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        5,
        None,
    ],
)
def test_what_is_no_time_of_a_todo_is_refused(value: object) -> None:
    made = cursor("due", value, ID.hex)
    assert refused("due", made) == "expected one from next_cursor"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "!",
        "AAAA",
        "eyJhIjoxfQ",
        cursor("due", NOON.isoformat()),
        cursor("due", NOON.isoformat(), "7"),
        cursor("due", NOON.isoformat(), 7),
        cursor("due", NOON.isoformat(), ID.hex, ID.hex),
        base64.urlsafe_b64encode(b"[" * 100_000).decode().rstrip("="),
        cursor("due", NOON.isoformat(), ID.hex) + "\u00e4",
        cursor("due", NOON.isoformat(), ID.hex) + "+/",
    ],
    ids=range(12),
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    assert refused("due", text) == "expected one from next_cursor"


@pytest.mark.parametrize("other", ["-due", "created_at", "du", ""])
def test_a_cursor_of_another_order_is_refused_by_the_order_that_is_asked(other: str) -> None:
    made = cursor(other, NOON.isoformat(), ID.hex)
    assert refused("due", made) == "expected one of sort=due"


def test_a_time_is_the_same_in_any_zone() -> None:
    later = NOON.astimezone(timezone(timedelta(hours=5)))
    value, _ = decode(Sort("due"), cursor("due", later.isoformat(), ID.hex))
    assert value == NOON
    assert value.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("name", "column", "falls"),
    [("due", "due", False), ("-due", "due", True), ("-created_at", "created_at", True)],
)
def test_a_minus_means_falling(name: str, column: str, falls: bool) -> None:
    sort = Sort(name)
    assert (sort.column, sort.is_descending) == (column, falls)


def test_undated_todos_stand_last_in_either_direction() -> None:
    row = {"due": None, "id": ID}
    assert Sort("due").position(row) == (NEVER, ID)
    assert Sort("-due").position(row) == (LONG_AGO, ID)
    assert Sort("due").position({"due": NOON, "id": ID}) == (NOON, ID)


def test_no_due_date_is_as_late_as_never_or_as_early_as_long_ago() -> None:
    earliest, latest = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
    assert latest == NEVER
    assert earliest > LONG_AGO
    # It is written as any other time.
    assert datetime.fromisoformat(LONG_AGO.isoformat()) == LONG_AGO


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("created_at", "ORDER BY todos.created_at, todos.id"),
        ("-created_at", "ORDER BY todos.created_at DESC, todos.id DESC"),
        ("due", "ORDER BY coalesce(todos.due, :missing), todos.id"),
        ("-due", "ORDER BY coalesce(todos.due, :missing) DESC, todos.id DESC"),
    ],
)
def test_equal_values_are_ordered_by_id_in_the_same_direction(name: str, order: str) -> None:
    assert sql(Sort(name).apply(select(todos.c.id))).endswith(order)


@pytest.mark.parametrize(("name", "sign"), [("priority", ">"), ("-priority", "<")])
def test_a_page_begins_behind_the_position_and_not_at_it(name: str, sign: str) -> None:
    condition = sql(Sort(name).is_behind("value", "identity"))
    assert condition == f"(todos.priority, todos.id) {sign} (:value, :identity)"
