"""Lists: pages, filters, orders and cursors."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.tests.conftest import open_app
from backend.todos.errors import BadCursor
from backend.todos.models import PRIORITY_RANKS, Priority, SortOrder, TodoDraft, TodoPatch
from backend.todos.pagination import Sort, decode, encode
from serving.data.ids import new_id

START = datetime(2030, 1, 1, tzinfo=UTC)
ORDERS = get_args(SortOrder)

# Few different values, so that ties are common: they are what pagination gets wrong.
moments = st.integers(0, 3).map(lambda day: START + timedelta(days=day))
todos_in_a_list = st.lists(
    st.fixed_dictionaries(
        {
            "priority": st.sampled_from(list(Priority)),
            "due": st.none() | moments,
            "created_at": moments,
        }
    ),
    max_size=12,
)
drafts = st.builds(
    TodoDraft,
    title=st.from_regex(r"[a-z]( ?[a-zäß]){0,20}", fullmatch=True),
    description=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=50),
    priority=st.sampled_from(list(Priority)),
    due=st.none() | moments,
    tags=st.lists(st.from_regex(r"[a-z]{1,5}", fullmatch=True), unique=True, max_size=3),
)
patches = st.dictionaries(
    st.sampled_from(["description", "priority", "due", "tags"]), st.none()
) | st.fixed_dictionaries(
    {},
    optional={
        "title": st.just("changed"),
        "description": st.none() | st.just("changed"),
        "priority": st.none() | st.sampled_from([one.value for one in Priority]),
        "due": st.none() | st.just("2030-01-02T00:00:00Z"),
        "tags": st.none() | st.just(["changed"]),
    },
)


@pytest.fixture
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('pages') / 'todos.db'}"


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(todos=todos_in_a_list, order=st.sampled_from(ORDERS), limit=st.integers(1, 5))
def test_pages_hold_every_todo_once_in_order(
    url: str, todos: list[dict[str, Any]], order: str, limit: int
) -> None:
    ids = anyio.run(_walk, url, todos, order, limit, backend_options={"use_uvloop": True})
    sort = Sort(order)

    def key(row: dict[str, Any]) -> tuple[Any, int]:
        value = row["created_at"] if sort.column == "updated_at" else row[sort.column]
        if sort.column == "priority":
            value = PRIORITY_RANKS[value]
        elif sort.column == "due" and value is None:
            value = sort.missing
        return value, row["id"].int

    expected = sorted(todos, key=key, reverse=sort.is_descending)
    assert ids == [str(row["id"]) for row in expected]


async def _walk(url: str, todos: list[dict[str, Any]], order: str, limit: int) -> list[str]:
    from sqlalchemy import delete, insert

    from backend.todos import tables

    ids: list[str] = []
    async with open_app(url) as (app, client):
        async with app.database.write() as connection:
            await connection.execute(delete(tables.todos))
            for todo in todos:
                todo["id"] = new_id()
                row = {
                    **todo, "priority": PRIORITY_RANKS[todo["priority"]], "title": "x",
                    "description": "", "state": "open", "tags": [], "version": 1,
                    "updated_at": todo["created_at"],
                }  # fmt: skip
                await connection.execute(insert(tables.todos).values(row))
        query = {"sort": order, "limit": str(limit)}
        while True:
            page = (await client.get("/api/v1/todos", params=query)).json()
            assert len(page["items"]) <= limit
            ids += [item["id"] for item in page["items"]]
            if page["next_cursor"] is None:
                return ids
            query["cursor"] = page["next_cursor"]


@given(order=st.sampled_from([o for o in ORDERS if "priority" not in o]), moment=st.datetimes())
def test_a_cursor_says_exactly_where_it_stands(order: str, moment: datetime) -> None:
    position = moment.replace(tzinfo=UTC), UUID(int=7)
    assert decode(Sort(order), encode(Sort(order), position)) == position


@given(cursor=st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_other_cursor_is_a_422(cursor: str) -> None:
    with pytest.raises(BadCursor):
        decode(Sort("due"), cursor)


@given(draft=drafts, patch=patches)
def test_a_patch_is_a_json_merge_patch(draft: TodoDraft, patch: dict[str, Any]) -> None:
    before = draft.model_dump(mode="json")
    merged = {**before, **patch}
    expected = TodoDraft.model_validate(
        {name: value for name, value in merged.items() if value is not None}
    )
    assert TodoPatch.model_validate(patch).applied_to(draft) == expected


@given(draft=drafts, patch=patches)
def test_a_patch_applied_twice_is_applied_once(draft: TodoDraft, patch: dict[str, Any]) -> None:
    once = TodoPatch.model_validate(patch).applied_to(draft)
    assert TodoPatch.model_validate(patch).applied_to(once) == once
