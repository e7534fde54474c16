"""A backup by pg_dump, taken while the service writes, and what is restored of it."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import select

from backend.tests.conftest import fresh_database, open_app
from backend.todos.tables import metadata
from tools.dev import postgres

PATH = "/api/v1/todos"

pytestmark = pytest.mark.postgresql


def program(name: str, *arguments: str) -> None:
    """Runs a program of PostgreSQL, of the locked packages, by their own loader."""
    root = postgres.tree()
    assert root is not None
    libraries = root / f"usr/lib/{os.uname().machine}-linux-gnu"
    [loader] = libraries.glob("ld-linux-*")
    binary = root / "usr/lib/postgresql" / postgres.MAJOR / "bin" / name
    done = subprocess.run(
        [loader, "--library-path", libraries, binary, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def empty_url(postgres_server: postgres.Postgres) -> Iterator[str]:
    with fresh_database(postgres_server, "template0") as url:
        yield url


async def content(client_app: Any) -> dict[str, list[Any]]:
    """All rows of all tables."""
    async with client_app.database.read() as connection:
        return {
            table.name: sorted(repr(tuple(row)) for row in await connection.execute(select(table)))
            for table in metadata.sorted_tables
        }


async def create(client: httpx.AsyncClient, title: str, key: str) -> httpx.Response:
    answer = await client.post(PATH, json={"title": title}, headers={"Idempotency-Key": key})
    assert answer.status_code == 201, answer.text
    return answer


async def test_what_is_restored_is_what_there_was_and_the_service_goes_on_with_it(
    postgres_url: str, empty_url: str, tmp_path: Path
) -> None:
    dump = str(tmp_path / "todo.dump")
    async with open_app(postgres_url) as (_, client):
        first = await create(client, "first", "one")
        await client.patch(first.headers["Location"], json={"state": "done"})
        gone = await create(client, "gone", "two")
        await client.delete(gone.headers["Location"])
    # Events that wait to be published are, at its end.
    async with open_app(postgres_url) as (app, _):
        before = await content(app)
        program("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={postgres_url}")

    program("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={empty_url}", dump)
    async with open_app(empty_url, auto_migrate=False) as (app, client):
        assert (await client.get("/health/ready")).status_code == 200
        assert await content(app) == before
        read = await client.get(first.headers["Location"])
        assert read.json()["state"] == "done"
        # What was created once is not created again, and what is new takes no number twice.
        again = await create(client, "first", "one")
        assert again.headers["Location"] == first.headers["Location"]
        await create(client, "new", "three")
        assert len((await client.get(PATH)).json()["items"]) == 2


async def test_a_backup_under_load_has_each_change_whole_or_not_at_all(
    postgres_url: str, empty_url: str, tmp_path: Path
) -> None:
    dump = str(tmp_path / "todo.dump")
    ended = asyncio.Event()

    async def write(client: httpx.AsyncClient, number: int) -> int:
        count = 0
        while not ended.is_set():
            await create(client, "x", f"{number}-{count}")
            count += 1
        return count

    async with open_app(postgres_url) as (_, client):
        for number in range(50):
            await create(client, "x", f"before-{number}")
        writers = [asyncio.create_task(write(client, number)) for number in range(4)]
        await asyncio.to_thread(
            program, "pg_dump", "--format=custom", f"--file={dump}", f"--dbname={postgres_url}"
        )
        ended.set()
        written = 50 + sum(await asyncio.gather(*writers))
    program("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={empty_url}", dump)
    session = await asyncpg.connect(empty_url)
    counts = {
        table: await session.fetchval(f"SELECT count(*) FROM {table}")
        for table in ("todos", "todo_events", "todo_outbox", "idempotency_keys")
    }
    await session.close()
    # Written in one transaction: todo, event, key. An event is moved in one from the outbox.
    told = counts["todo_events"] + counts["todo_outbox"]
    assert counts["todos"] == told == counts["idempotency_keys"]
    assert 50 <= counts["todos"] <= written
