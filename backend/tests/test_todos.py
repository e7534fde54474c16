"""Todos over HTTP: create, read, change, delete, and what comes of conflicts."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from backend.tests.conftest import open_app
from serving.data.ids import new_id

PATH = "/api/v1/todos"


async def create(client: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    response = await client.post(PATH, json={"title": "water the plants", **members})
    assert response.status_code == 201, response.text
    todo: dict[str, Any] = response.json()
    return todo


async def test_a_todo_is_found_by_every_way_to_write_its_id(client: httpx.AsyncClient) -> None:
    """RFC 9562 section 4: hexadecimal digits have no case; the other forms are pydantic's."""
    todo = (await client.post(PATH, json={"title": "x"})).json()
    plain = todo["id"].replace("-", "")
    for written in (todo["id"], todo["id"].upper(), plain, f"urn:uuid:{todo['id']}"):
        assert (await client.get(f"{PATH}/{written}")).json() == todo, written
    for written in (todo["id"][:-1], f"{todo['id']}0", f"{todo['id']}%0A", plain.replace("0", "g")):
        answer = await client.get(f"{PATH}/{written}")
        assert answer.status_code == 422, written
        assert answer.json()["errors"][0]["location"] == ["path", "todo_id"]


async def test_a_condition_is_no_longer_than_it_may_be(client: httpx.AsyncClient) -> None:
    todo = (await client.post(PATH, json={"title": "x"})).json()
    for length, status in ((500, 200), (501, 422)):
        header = {"If-None-Match": '"2"'.ljust(length, ",")}
        assert (await client.get(f"{PATH}/{todo['id']}", headers=header)).status_code == status


async def test_a_created_todo_can_be_read_back(client: httpx.AsyncClient) -> None:
    created = await client.post(PATH, json={"title": "water the plants", "tags": ["home"]})
    read = await client.get(created.headers["Location"])
    assert created.status_code == 201
    assert read.json() == created.json()
    assert read.headers["ETag"] == created.headers["ETag"] == '"1"'


async def test_what_is_not_said_has_a_default(client: httpx.AsyncClient) -> None:
    todo = await create(client)
    assert {k: todo[k] for k in ("description", "state", "priority", "due", "tags", "version")} == {
        "description": "",
        "state": "open",
        "priority": "normal",
        "due": None,
        "tags": [],
        "version": 1,
    }


async def test_a_due_date_is_kept_in_utc(client: httpx.AsyncClient) -> None:
    todo = await create(client, due="2030-06-28T11:00:00+02:00")
    read = await client.get(f"{PATH}/{todo['id']}")
    assert read.json()["due"] == "2030-06-28T09:00:00Z"


@pytest.mark.parametrize(
    "members",
    [
        {"title": ""},
        {"title": "x" * 201},
        {"title": " leading"},
        {"title": "two\nlines"},
        {"title": "nul\x00"},
        {"description": "nul\x00"},
        {"description": "x" * 10_001},
        {"state": "lost"},
        {"priority": 3},
        {"due": "2030-06-28T11:00:00"},
        {"due": 1_900_000_000},
        {"due": "0001-01-01T00:00:00+14:00"},
        {"tags": ["a", "a"]},
        {"tags": ["x"] * 21},
        {"tags": [""]},
        {"unknown": 1},
    ],
)
async def test_a_draft_outside_the_schema_is_refused(
    client: httpx.AsyncClient, members: dict[str, Any]
) -> None:
    response = await client.post(PATH, json={"title": "x", **members})
    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["errors"][0]["location"][1] == next(iter(members))


async def test_the_longest_values_are_taken(client: httpx.AsyncClient) -> None:
    tags = [f"{number:02}{'ä' * 48}" for number in range(20)]
    todo = await create(client, title="ä" * 200, description="ä" * 10_000, tags=tags)
    assert todo["tags"] == tags


async def test_replacing_resets_what_is_not_said(client: httpx.AsyncClient) -> None:
    todo = await create(client, description="with a can", priority="high", tags=["home"])
    replaced = (await client.put(f"{PATH}/{todo['id']}", json={"title": "sleep"})).json()
    assert (replaced["title"], replaced["description"]) == ("sleep", "")
    assert (replaced["priority"], replaced["tags"], replaced["version"]) == ("normal", [], 2)
    assert replaced["created_at"] == todo["created_at"]


async def test_a_patch_changes_only_what_it_names(client: httpx.AsyncClient) -> None:
    todo = await create(client, description="with a can", due="2030-06-28T09:00:00Z")
    patched = await client.patch(f"{PATH}/{todo['id']}", json={"state": "done", "due": None})
    expected = {**todo, "state": "done", "due": None, "version": 2}
    expected["updated_at"] = patched.json()["updated_at"]
    assert patched.json() == expected
    assert patched.headers["ETag"] == '"2"'


async def test_a_patch_cannot_take_the_title_away(client: httpx.AsyncClient) -> None:
    todo = await create(client)
    response = await client.patch(f"{PATH}/{todo['id']}", json={"title": None})
    assert response.status_code == 422


async def test_a_patch_that_changes_nothing_makes_no_version(client: httpx.AsyncClient) -> None:
    todo = await create(client)
    response = await client.patch(f"{PATH}/{todo['id']}", json={"state": "open"})
    assert response.json() == todo


async def test_a_deleted_todo_is_gone(client: httpx.AsyncClient) -> None:
    todo = await create(client)
    deleted = await client.delete(f"{PATH}/{todo['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await client.get(f"{PATH}/{todo['id']}")).status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_an_unknown_todo_is_a_404_problem(client: httpx.AsyncClient, method: str) -> None:
    body = {"title": "x"} if method in {"PUT", "PATCH"} else None
    todo_id = uuid4()
    response = await client.request(method, f"{PATH}/{todo_id}", json=body)
    assert response.status_code == 404
    assert response.json() == {
        "type": "/problems/not-found",
        "title": "Not Found",
        "status": 404,
        "detail": f"no todo has the id {todo_id}",
    }


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_an_old_etag_is_refused_with_412(client: httpx.AsyncClient, method: str) -> None:
    todo = await create(client)
    path = f"{PATH}/{todo['id']}"
    await client.patch(path, json={"state": "done"})
    body = {"title": "x"} if method != "DELETE" else None
    response = await client.request(method, path, json=body, headers={"If-Match": '"1"'})
    assert response.status_code == 412
    assert response.headers["ETag"] == '"2"'
    assert (await client.get(path)).json()["version"] == 2


@pytest.mark.parametrize("header", ['"1"', "*", '"7", "1"'])
async def test_the_current_etag_lets_a_change_through(
    client: httpx.AsyncClient, header: str
) -> None:
    todo = await create(client)
    response = await client.patch(
        f"{PATH}/{todo['id']}", json={"state": "done"}, headers={"If-Match": header}
    )
    assert response.status_code == 200


async def test_an_unchanged_todo_is_not_sent_again(client: httpx.AsyncClient) -> None:
    todo = await create(client)
    path = f"{PATH}/{todo['id']}"
    same = await client.get(path, headers={"If-None-Match": 'W/"1"'})
    other = await client.get(path, headers={"If-None-Match": '"2"'})
    assert (same.status_code, same.content, other.status_code) == (304, b"", 200)


async def test_a_todo_that_is_unchanged_may_be_kept_as_before(client: httpx.AsyncClient) -> None:
    """RFC 9110 section 15.4.5: a cache replaces the fields it has by those of the 304."""
    path = f"{PATH}/{(await create(client))['id']}"
    read = await client.get(path)
    same = await client.get(path, headers={"If-None-Match": read.headers["ETag"]})
    assert same.status_code == 304
    for name in ("ETag", "Cache-Control"):
        assert same.headers[name] == read.headers[name]


async def test_of_twenty_racing_changes_with_one_etag_one_wins(client: httpx.AsyncClient) -> None:
    todo = await create(client)

    async def change(number: int) -> int:
        response = await client.patch(
            f"{PATH}/{todo['id']}", json={"title": f"by {number}"}, headers={"If-Match": '"1"'}
        )
        return response.status_code

    statuses = await asyncio.gather(*(change(number) for number in range(20)))
    assert sorted(statuses) == [200] + [412] * 19


async def test_racing_patches_of_different_members_all_stay(client: httpx.AsyncClient) -> None:
    todo = await create(client)
    path = f"{PATH}/{todo['id']}"
    patches: list[dict[str, Any]] = [
        {"state": "done"}, {"priority": "high"}, {"tags": ["a"]}, {"description": "b"},
    ]  # fmt: skip
    await asyncio.gather(*(client.patch(path, json=patch) for patch in patches))
    after = (await client.get(path)).json()
    assert after["version"] == 5
    assert [after[k] for k in ("state", "priority", "tags", "description")] == [
        "done", "high", ["a"], "b",
    ]  # fmt: skip


async def test_repeating_a_create_with_its_key_creates_nothing(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await client.post(PATH, json={"title": "x"}, headers=headers)
    await client.patch(first.headers["Location"], json={"state": "done"})
    second = await client.post(PATH, json={"title": "x"}, headers=headers)
    assert second.status_code == 201
    assert second.content == first.content
    assert second.headers["Location"] == first.headers["Location"]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len((await client.get(PATH)).json()["items"]) == 1


async def test_a_key_cannot_be_used_for_another_body(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "one"}
    await client.post(PATH, json={"title": "x"}, headers=headers)
    response = await client.post(PATH, json={"title": "y"}, headers=headers)
    assert response.status_code == 422
    assert response.json()["type"].endswith("/idempotency-key-reused")


async def test_twenty_racing_creates_with_one_key_create_one_todo(
    client: httpx.AsyncClient,
) -> None:
    async def attempt() -> httpx.Response:
        return await client.post(PATH, json={"title": "x"}, headers={"Idempotency-Key": "k"})

    responses = await asyncio.gather(*(attempt() for _ in range(20)))
    assert {response.status_code for response in responses} == {201}
    assert len({response.json()["id"] for response in responses}) == 1
    assert sum("Idempotent-Replayed" not in response.headers for response in responses) == 1


async def test_a_repetition_waits_for_the_first_request_only_so_long(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.data.idempotency.KEY_WAIT", timedelta(milliseconds=200))
    headers = {"Idempotency-Key": "k"}
    async with open_app(postgres_url) as (_, client):
        first = await asyncpg.connect(postgres_url)
        transaction = first.transaction()
        await transaction.start()
        await first.execute(
            "INSERT INTO idempotency_keys "
            "(principal, key, fingerprint, todo_id, response, created_at) "
            "VALUES ('anonymous', 'k', '', gen_random_uuid(), '', now())"
        )
        response = await client.post(PATH, json={"title": "x"}, headers=headers)
        assert response.status_code == 409
        assert response.json()["type"].endswith("/idempotency-key-in-use")
        assert response.headers["Retry-After"] == "1"
        # The first one fails after all: its key is free again.
        await transaction.rollback()
        await first.close()
        response = await client.post(PATH, json={"title": "x"}, headers=headers)
        assert response.status_code == 201
        assert "Idempotent-Replayed" not in response.headers


async def test_lists_filter_by_state_priority_due_and_text(client: httpx.AsyncClient) -> None:
    await create(client, title="Alpha", state="done", priority="high")
    await create(client, title="Beta", due="2030-01-02T00:00:00Z")
    await create(client, title="100% sure", description="of gAmma")

    async def titles(**query: Any) -> list[str]:
        response = await client.get(PATH, params={"sort": "created_at", **query})
        return [item["title"] for item in response.json()["items"]]

    assert await titles(state="done") == ["Alpha"]
    assert await titles(state=["done", "open"]) == ["Alpha", "Beta", "100% sure"]
    assert await titles(priority="high") == ["Alpha"]
    assert await titles(due_from="2030-01-02T00:00:00Z") == ["Beta"]
    assert await titles(due_before="2030-01-02T00:00:00Z") == []
    assert await titles(q="ALPH") == ["Alpha"]
    assert await titles(q="gamma") == ["100% sure"]
    assert await titles(q="0%") == await titles(q="%") == ["100% sure"]
    assert await titles(q="_") == []


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("status=done", ["query", "status"]),
        ("state=done&Limit=1", ["query", "Limit"]),
        ("=", ["query", ""]),
        ("limit=1&limit=100", ["query", "limit"]),
        ("q=a&q=b", ["query", "q"]),
    ],
)
async def test_a_misspelt_or_doubled_filter_does_not_return_everything(
    client: httpx.AsyncClient, query: str, fault: list[str]
) -> None:
    response = await client.get(f"{PATH}?{query}")
    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-request")
    assert [one["location"] for one in response.json()["errors"]] == [fault]


async def test_a_patch_may_say_what_it_is(client: httpx.AsyncClient) -> None:
    todo = await create(client, title="x")
    response = await client.patch(
        f"{PATH}/{todo['id']}",
        content=b'{"title":"y"}',
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert (response.status_code, response.json()["title"]) == (200, "y")


async def test_a_todo_in_another_media_type_is_not_stored(client: httpx.AsyncClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        response = await client.post(PATH, content=b'{"title":"x"}', headers={"Content-Type": kind})
        assert response.status_code == 415
    assert (await client.get(PATH)).json()["items"] == []


async def test_lists_sort_with_undated_todos_last(client: httpx.AsyncClient) -> None:
    await create(client, title="undated", priority="low")
    await create(client, title="late", due="2031-01-01T00:00:00Z", priority="urgent")
    await create(client, title="early", due="2030-01-01T00:00:00Z")

    async def titles(sort: str) -> list[str]:
        response = await client.get(PATH, params={"sort": sort})
        return [item["title"] for item in response.json()["items"]]

    assert await titles("due") == ["early", "late", "undated"]
    assert await titles("-due") == ["late", "early", "undated"]
    assert await titles("priority") == ["undated", "early", "late"]
    assert await titles("-created_at") == ["early", "late", "undated"]


@pytest.mark.parametrize("cursor", ["", "x", "bm90IGpzb24", "W10", "eyJhIjoxfQ", "\u00e4"])
async def test_a_cursor_that_is_not_ours_is_refused(client: httpx.AsyncClient, cursor: str) -> None:
    response = await client.get(PATH, params={"cursor": cursor})
    assert (response.status_code, response.json()["type"]) == (
        422,
        "/problems/invalid-cursor",
    )


async def test_a_cursor_belongs_to_its_sort_order(client: httpx.AsyncClient) -> None:
    await create(client)
    await create(client)
    page = (await client.get(PATH, params={"limit": 1})).json()
    response = await client.get(PATH, params={"cursor": page["next_cursor"], "sort": "due"})
    assert response.status_code == 422


async def test_the_database_refuses_what_the_model_refuses(database_url: str) -> None:
    from sqlalchemy import insert
    from sqlalchemy.exc import DBAPIError

    from backend.todos.tables import todos

    now = datetime.now(UTC)
    good: dict[str, Any] = {
        "id": uuid4(), "title": "x", "description": "", "state": "open", "priority": 1,
        "tags": [], "version": 1, "created_at": now, "updated_at": now,
    }  # fmt: skip
    bad: list[dict[str, Any]] = [
        {"title": ""}, {"title": "x" * 201}, {"description": "x" * 10_001}, {"state": "lost"},
        {"priority": 4}, {"version": 0}, {"tags": ["x"] * 21},
        {"updated_at": datetime(2000, 1, 1, tzinfo=UTC)},
    ]  # fmt: skip
    async with open_app(database_url) as (app, _):
        for change in bad:
            with pytest.raises(DBAPIError):
                async with app.database.write() as connection:
                    await connection.execute(insert(todos).values({**good, **change}))
        async with app.database.write() as connection:
            await connection.execute(insert(todos).values(good))


def test_new_ids_are_version_7_and_rise() -> None:
    ids = [new_id() for _ in range(3)]
    assert {one.version for one in ids} == {7}
    assert {one.variant for one in ids} == {UUID(int=1 << 63).variant}
    assert [one.int >> 80 for one in ids] == sorted(one.int >> 80 for one in ids)
