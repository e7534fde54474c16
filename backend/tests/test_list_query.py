"""What a query string means: filters, order and page; and what it must not be taken for."""

from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError

from backend.todos.list_query import ListQuery, list_query
from backend.todos.models import Priority, State
from backend.todos.store import Filter


def faults(query: bytes) -> list[tuple[tuple[Any, ...], str]]:
    """Where a query string is wrong, and of what kind each fault is."""
    with pytest.raises(RequestValidationError) as caught:
        list_query(query)
    errors = caught.value.errors()
    # What the client sent is not said again.
    assert all(error.keys() == {"type", "loc", "msg"} for error in errors)
    return [(error["loc"], error["type"]) for error in errors]


def test_nothing_asked_is_the_newest_twenty() -> None:
    asked = list_query(b"")
    assert (asked.limit, asked.cursor, asked.sort) == (20, None, "-created_at")
    assert asked.which == Filter(
        states=(), priorities=(), due_from=None, due_before=None, text=None
    )


def test_everything_asked_is_read() -> None:
    asked = list_query(
        b"limit=7&cursor=abc&sort=due&state=open&state=done&priority=high"
        b"&due_from=2030-01-01T00:00:00Z&due_before=2031-01-01T02:00:00%2B02:00&q=a+b%C3%A9"
    )
    assert (asked.limit, asked.cursor, asked.sort) == (7, "abc", "due")
    assert asked.which == Filter(
        states=(State.OPEN, State.DONE),
        priorities=(Priority.HIGH,),
        due_from=datetime(2030, 1, 1, tzinfo=UTC),
        due_before=datetime(2031, 1, 1, tzinfo=UTC),
        text="a bé",
    )


@pytest.mark.parametrize("limit", [1, 100])
def test_a_page_has_from_one_to_a_hundred(limit: int) -> None:
    assert list_query(f"limit={limit}".encode()).limit == limit


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        (b"limit=0", "greater_than_equal"),
        (b"limit=101", "less_than_equal"),
        (b"limit=x", "int_parsing"),
        (b"limit=", "int_parsing"),
        (b"limit=1&limit=1", "int_type"),
        (b"cursor=%s" % (b"x" * 501), "string_too_long"),
        (b"sort=title", "literal_error"),
        (b"q=", "string_too_short"),
        (b"q=%s" % (b"x" * 201), "string_too_long"),
        (b"q=%00", "string_pattern_mismatch"),
        (b"due_from=2030-01-01", "value_error"),
        (b"due_before=", "value_error"),
        (b"offset=3", "extra_forbidden"),
    ],
)
def test_a_value_that_does_not_fit_is_named(query: bytes, kind: str) -> None:
    name = query.partition(b"=")[0].decode()
    assert faults(query) == [(("query", name), kind)]


def test_the_longest_values_fit() -> None:
    asked = list_query(b"cursor=%s&q=%s" % (b"c" * 500, b"q" * 200))
    assert (asked.cursor, asked.q) == ("c" * 500, "q" * 200)


@pytest.mark.parametrize("name", ["state", "priority"])
def test_of_a_list_four_values_are_taken_and_five_are_not(name: str) -> None:
    value = {"state": "open", "priority": "low"}[name]
    four = "&".join([f"{name}={value}"] * 4)
    assert getattr(list_query(four.encode()), name) == (value,) * 4
    assert faults(f"{four}&{name}={value}".encode()) == [(("query", name), "too_long")]


def test_a_wrong_value_of_a_list_is_named_by_its_place() -> None:
    assert faults(b"state=open&state=gone") == [(("query", "state", 1), "enum")]


def test_all_faults_are_told_at_once() -> None:
    assert [where for where, _ in faults(b"limit=0&q=&x=1")] == [
        ("query", "limit"),
        ("query", "q"),
        ("query", "x"),
    ]


def test_what_was_asked_cannot_be_changed_since_it_is_kept() -> None:
    assert list_query(b"limit=3") is list_query(b"limit=3")
    with pytest.raises(ValueError, match="frozen"):
        list_query(b"limit=3").limit = 4  # type: ignore[misc]


def test_the_document_has_each_parameter_as_it_is_given() -> None:
    documented = {one.pop("name"): one for one in ListQuery.parameters()}
    assert list(documented) == list(ListQuery.model_fields)
    assert {(one["in"], one["required"]) for one in documented.values()} == {("query", False)}
    assert all(one["description"] for one in documented.values())
    schemas = {name: one["schema"] for name, one in documented.items()}
    # Said once, beside the schema; and a null cannot be given.
    assert not any({"description", "anyOf"} & schema.keys() for schema in schemas.values())
    defaults = {name: one["default"] for name, one in schemas.items() if "default" in one}
    assert defaults == {"limit": 20, "sort": "-created_at"}
    assert (schemas["limit"]["minimum"], schemas["limit"]["maximum"]) == (1, 100)
    assert schemas["cursor"] | {"title": ""} == {"title": "", "type": "string", "maxLength": 500}
    assert schemas["q"]["minLength"] == 1
    assert schemas["state"]["items"] == {"$ref": "#/components/schemas/State"}
    assert schemas["due_from"]["format"] == "date-time"
