"""Values at the ends of their types: alike on PostgreSQL and SQLite, or refused with 422."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.tests.conftest import open_app
from serving.data.types import EARLIEST, LATEST

PATH = "/api/v1/todos"

OUTSIDE = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T23:59:59.999999Z",
    "0001-01-02T01:00:00+02:00",
    "9999-12-31T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-30T23:00:00-02:00",
]
ENDS = ["0001-01-02T00:00:00Z", "9999-12-30T23:59:59.999999Z"]

dues = st.datetimes(timezones=st.just(UTC)) | st.sampled_from(
    [EARLIEST, LATEST, EARLIEST - timedelta(microseconds=1), LATEST - timedelta(microseconds=1)]
)
offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
texts = st.text(max_size=60)


def written(due: datetime, offset: timezone) -> str:
    """A time as a client of that offset would write it."""
    try:
        return due.astimezone(offset).isoformat()
    except OverflowError:
        return due.isoformat()


drafts = st.fixed_dictionaries(
    {"title": st.text(min_size=1, max_size=40)},
    optional={
        "description": texts,
        "due": st.builds(written, dues, offsets),
        "tags": st.lists(st.text(min_size=1, max_size=10), max_size=3),
        "priority": st.sampled_from(["low", "normal", "high", "urgent"]),
    },
)


@pytest.mark.parametrize("due", OUTSIDE)
async def test_a_due_date_at_the_ends_of_time_is_refused(
    client: httpx.AsyncClient, due: str
) -> None:
    assert (await client.post(PATH, json={"title": "x", "due": due})).status_code == 422
    assert (await client.get(PATH, params={"due_from": due})).status_code == 422


@pytest.mark.parametrize("due", ENDS)
async def test_the_first_and_the_last_due_date_are_like_any(
    client: httpx.AsyncClient, due: str
) -> None:
    made = (await client.post(PATH, json={"title": "x", "due": due})).json()
    await client.post(PATH, json={"title": "undated"})
    assert made["due"] == due
    again = await client.put(f"{PATH}/{made['id']}", json={"title": "x", "due": due})
    assert again.json()["version"] == 1
    for order in ("due", "-due"):
        first = (await client.get(PATH, params={"sort": order, "limit": 1})).json()
        assert first["items"][0]["due"] == due
        query = {"sort": order, "limit": 1, "cursor": first["next_cursor"]}
        second = (await client.get(PATH, params=query)).json()
        assert [one["title"] for one in second["items"]] == ["undated"]


def cursor(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


ID = "0199f0c600007000800000000000000a"


@pytest.mark.parametrize(
    "value",
    [
        cursor("\ud800", "2030-01-01T00:00:00+00:00", ID),
        cursor("-created_at", "\udfff", ID),
        cursor("-created_at", "2030-01-01T00:00:00+00:00", "\ud800"),
        cursor("-created_at", "9999-12-31T23:59:59.999999+00:00", ID),
        cursor("-created_at", "0001-01-01T00:00:00+00:00", ID),
        cursor("-created_at", 1e400, ID),
        cursor(["-created_at"], "2030-01-01T00:00:00+00:00", ID),
        cursor("-created_at", "2030-01-01T00:00:00+00:00", ID, 1),
    ],
)
async def test_a_cursor_that_is_not_ours_is_a_422(client: httpx.AsyncClient, value: str) -> None:
    answer = await client.get(PATH, params={"cursor": value})
    assert answer.status_code == 422
    assert answer.json()["status"] == 422


async def test_half_characters_of_a_client_are_quoted_without_a_defect(
    client: httpx.AsyncClient,
) -> None:
    json_type = {"Content-Type": "application/json"}
    for body in (b'{"title":"\\ud800"}', b'{"\\udfff":1}', b'{"title":"x","tags":["\\udc80"]}'):
        answer = await client.post(PATH, content=body, headers=json_type)
        assert answer.status_code == 422, body
        assert answer.json()["status"] == 422


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (['W/"1"'], 412),
        (['"abc"'], 412),
        (['"1" , "2"'], 200),
        (['"7"', '"1"'], 200),
        (['"7"', '"8"'], 412),
        ([""], 412),
        (["*"], 200),
        (["1"], 422),
    ],
)
async def test_if_match_is_a_list_of_entity_tags(
    client: httpx.AsyncClient, lines: list[str], status: int
) -> None:
    """RFC 9110 sections 13.1.1 and 5.3."""
    made = (await client.post(PATH, json={"title": "x"})).json()
    answer = await client.patch(
        f"{PATH}/{made['id']}",
        json={"state": "done"},
        headers=[("If-Match", line) for line in lines],
    )
    assert answer.status_code == status


@pytest.fixture
async def both(postgres_url: str, sqlite_url: str) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients of the application on either database."""
    async with open_app(postgres_url) as (_, one), open_app(sqlite_url) as (_, other):
        yield [one, other]


async def walk(client: httpx.AsyncClient, order: str) -> list[tuple[Any, Any]]:
    """The due date and priority of every todo, read one a page."""
    walked, query = [], {"sort": order, "limit": "1"}
    while True:
        page = (await client.get(PATH, params=query)).json()
        walked += [(one["due"], one["priority"]) for one in page["items"]]
        if page["next_cursor"] is None:
            return walked
        query["cursor"] = page["next_cursor"]


@pytest.mark.postgresql
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(drafts, min_size=1, max_size=4))
async def test_both_databases_keep_and_order_the_same(
    both: list[httpx.AsyncClient], bodies: list[dict[str, Any]]
) -> None:
    seen = []
    for client in both:
        answers = [await client.post(PATH, json=body) for body in bodies]
        made = [answer.json() for answer in answers if answer.status_code == 201]
        try:
            orders = [
                await walk(client, order) for order in ("due", "-due", "priority", "-priority")
            ]
            assert [len(walked) for walked in orders] == [len(made)] * len(orders)
            kept = []
            for todo in made:
                read = (await client.get(f"{PATH}/{todo['id']}")).json()
                assert read == todo
                names = ("title", "description", "due", "tags", "version")
                kept.append([read[name] for name in names])
        finally:
            # The next example finds none, also after one that failed.
            for todo in made:
                await client.delete(f"{PATH}/{todo['id']}")
        seen.append(([answer.status_code for answer in answers], orders, kept))
    assert seen[0] == seen[1]
