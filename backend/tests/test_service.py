"""What the todo service makes of the rooms it uses: which routes are guarded, what is watched."""

import json
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from backend.schema import MIGRATIONS
from backend.tests.conftest import open_app
from backend.tests.process import ColdStarted
from backend.todos.events import LOG, message
from backend.todos.store import KEYS
from serving.tests.process import imported, packages
from serving.web.security import new_key

PATH = "/api/v1/todos"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_every_route_but_health_demands_a_key_in_production(sqlite_url: str) -> None:
    options = {"environment": "prod", "auto_migrate": True, "api_keys": (new_key("web")[1],)}
    asked = 0
    async with open_app(sqlite_url, **options) as (app, client):
        for path, operations in app.openapi()["paths"].items():
            url = path.replace("{todo_id}", "0199f0c6-0000-7000-8000-000000000000")
            for method in operations:
                answer = await client.request(method, url)
                is_open = path.startswith("/health/")
                assert answer.status_code == (200 if is_open else 401), (method, path)
                asked += 1
    assert asked > 10


async def test_idempotency_keys_of_two_principals_do_not_meet(sqlite_url: str) -> None:
    web, app = new_key("web"), new_key("app")
    options = {"auth_required": True, "api_keys": (web[1], app[1])}
    async with open_app(sqlite_url, **options) as (_, client):
        ids = set()
        for key, _ in (web, app):
            headers = {**bearer(key), "Idempotency-Key": "1"}
            response = await client.post(PATH, json={"title": "x"}, headers=headers)
            ids.add(response.json()["id"])
    assert len(ids) == 2


@pytest.mark.postgresql
async def test_a_list_is_one_query(postgres_url: str) -> None:
    async with open_app(postgres_url) as (app, client):
        for _ in range(5):
            await client.post(PATH, json={"title": "x", "tags": ["a", "b"]})
        statements: list[str] = []
        async with app.database.read() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            driver.add_query_logger(lambda record: statements.append(record.query))
        query = {"q": "x", "state": "open", "sort": "due"}
        response = await client.get(PATH, params=query)
    assert len(response.json()["items"]) == 5
    assert len(statements) == 1


async def test_old_keys_and_events_are_forgotten_but_the_newest_event_stays(
    database_url: str,
) -> None:
    async with open_app(database_url) as (app, client):
        for number in range(3):
            headers = {"Idempotency-Key": str(number)}
            await client.post(PATH, json={"title": "x"}, headers=headers)
        database = app.database
        async with database.write() as connection:
            # The process does so too, a moment after it has answered.
            await LOG.publish(connection, 10)
        async with database.write() as connection:
            await KEYS.forget(connection, timedelta(0))
            await LOG.forget(connection, timedelta(0))
        async with database.read() as connection:
            keys = await connection.scalar(text("SELECT count(*) FROM idempotency_keys"))
            assert keys == 0
            assert await LOG.range(connection) == (3, 3)


async def test_housekeeping_removes_what_is_older_than_the_settings_say(sqlite_url: str) -> None:
    async with open_app(sqlite_url, idempotency_hours=1, event_retention_hours=2) as (app, client):
        for number in range(3):
            headers = {"Idempotency-Key": str(number)}
            await client.post(PATH, json={"title": "x"}, headers=headers)
        async with app.database.write() as connection:
            for table, hours in (("idempotency_keys", 1), ("todo_events", 2)):
                old = f"datetime('now', '-{hours} hours', '-1 minute')"
                await connection.execute(
                    text(f"UPDATE {table} SET created_at = {old} WHERE rowid < 3")
                )
        await app.housekeeping.do_chores()
        async with app.database.read() as connection:
            left = [
                await connection.scalar(text(f"SELECT count(*) FROM {table}"))
                for table in ("idempotency_keys", "todo_events")
            ]
    assert left == [1, 1]


async def test_readiness_names_each_component(client: httpx.AsyncClient) -> None:
    report = (await client.get("/health/ready")).json()
    assert [one["component"] for one in report["components"]] == [
        "process", "database", "schema", "ai",
    ]  # fmt: skip
    assert report["components"][3]["status"] == "disabled"


def test_the_server_imports_nothing_that_no_request_needs() -> None:
    found = packages(imported("import backend.app, serving.process.server"))
    assert {"fastapi", "sqlalchemy", "uvicorn"} <= found
    rare = {"httpx", "alembic", "mako", "websockets", "asyncpg", "aiosqlite", "fastapi_swagger"}
    assert found & rare == set()


def test_the_process_that_supervises_imports_neither_the_application_nor_the_metrics() -> None:
    found = packages(imported("import backend.__main__, serving.process.supervisor"))
    heavy = {"fastapi", "prometheus_client", "sqlalchemy", "starlette", "uvicorn"}
    assert found & heavy == set()


def test_idle_memory_stays_within_its_budget(sqlite_url: str) -> None:
    with ColdStarted(DATABASE_URL=sqlite_url) as server:
        server.wait_ready()
        for _ in range(50):
            httpx.get(server.url + PATH)
        assert server.resident < 110_000 * 1024


@pytest.mark.parametrize(
    ("revision", "are"), [(None, False), ("0000", False), (MIGRATIONS.newest, True), ("9999", True)]
)
def test_the_schema_is_one_that_this_code_can_work_on(revision: str | None, are: bool) -> None:
    assert MIGRATIONS.are_applied(revision) is are
    assert MIGRATIONS.lock.to_bytes(4) == b"todo"
    assert (MIGRATIONS.folder / "env.py").is_file()


async def test_allow_names_the_methods_that_a_path_has_and_no_others(sqlite_url: str) -> None:
    """RFC 9110 section 10.2.1; `/todos/parse` looks like a todo's own path, and is none."""
    async with open_app(sqlite_url) as (app, client):
        for path, operations in app.openapi()["paths"].items():
            methods = {method.upper() for method in operations if method != "parameters"}
            for method in ("OPTIONS", "TRACE"):
                answer = await client.request(method, path.replace("{todo_id}", str(uuid4())))
                assert answer.status_code == 405, (method, path)
                assert set(answer.headers["Allow"].split(", ")) == methods, path


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_a_method_that_only_a_neighbouring_path_has_is_405(
    sqlite_url: str, method: str
) -> None:
    """Not 422: that "parse" is no todo's id is nothing that the client has to know."""
    async with open_app(sqlite_url) as (_, client):
        answer = await client.request(method, f"{PATH}/parse", json={"title": "x"})
        assert answer.status_code == 405
        assert answer.headers["Allow"] == "POST"
        assert answer.json()["type"].endswith("method-not-allowed")
        assert (await client.request(method, f"{PATH}/other", json={})).status_code == 422


@pytest.mark.postgresql
@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "1"}], ids=["plain", "with a key"])
async def test_a_creation_is_told_as_it_was_answered(
    postgres_url: str, headers: dict[str, str]
) -> None:
    async with open_app(postgres_url) as (_, client):
        body = {"title": "x", "tags": ["a", "b"], "due": "2030-01-01T00:00:00Z", "priority": "high"}
        todo = (await client.post(PATH, json=body, headers=headers)).json()
        assert (await client.get(f"{PATH}/{todo['id']}")).json() == todo
    async with open_app(postgres_url) as (app, _), app.database.read() as connection:
        (event,) = await LOG.after(connection, 0, 10)
    assert json.loads(message(event)) == {"id": event.id, "kind": "created", "todo": todo}
