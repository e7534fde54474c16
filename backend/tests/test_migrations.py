"""Migrations lead from nothing to what the models say, and refuse what they cannot do."""

import asyncio
import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from backend.schema import MIGRATIONS
from backend.tests import process
from backend.tests.conftest import open_app, settings_for
from backend.todos import tables
from serving.data import migrate
from serving.data.database import Database
from serving.data.errors import DatabaseDown


def test_the_newest_migration_is_the_one_the_server_expects() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(process.__file__).parents[1] / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [MIGRATIONS.newest]


def test_revisions_are_numbers_of_one_width() -> None:
    folder = Path(process.__file__).parents[1] / "migrations/versions"
    names = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert names
    assert all(re.match(r"\d{4}_", name) for name in names)


async def test_the_migrated_schema_is_the_one_in_the_code(database_url: str) -> None:
    database = Database(settings_for(database_url), name="test")
    await migrate.migrate(database, MIGRATIONS)

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, tables.metadata))

    def constraints(connection: Connection) -> set[str]:
        from sqlalchemy import inspect

        found = inspect(connection).get_check_constraints("todos")
        return {str(one["name"]) for one in found}

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
        found = await connection.run_sync(constraints)
        name = connection.dialect.name
    await database.close()
    from sqlalchemy import CheckConstraint

    other = {"sqlite": "ck_todos_tags", "postgresql": "ck_todos_tags_json"}[name]
    expected = {
        str(one.name) for one in tables.todos.constraints if isinstance(one, CheckConstraint)
    }
    assert found == expected - {other}


async def test_migrating_twice_changes_nothing(database_url: str) -> None:
    database = Database(settings_for(database_url), name="test")
    await migrate.migrate(database, MIGRATIONS)
    assert await migrate.migrate(database, MIGRATIONS) == (MIGRATIONS.newest, MIGRATIONS.newest)
    await database.close()


@pytest.mark.postgresql
async def test_a_migrated_connection_keeps_no_settings(empty_postgres_url: str) -> None:
    async with open_app(empty_postgres_url, auto_migrate=False) as (app, _):
        database = app.database
        await migrate.migrate(database, MIGRATIONS)
        from sqlalchemy import text

        async with database.read() as connection:
            assert await connection.scalar(text("SHOW statement_timeout")) == "5s"


@pytest.mark.postgresql
def test_four_processes_migrate_at_once_and_one_does_it(empty_postgres_url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        done = list(
            pool.map(lambda _: process.run("migrate", DATABASE_URL=empty_postgres_url), range(4))
        )
    assert [one.returncode for one in done] == [0] * 4, done
    said = sorted(one.stdout.splitlines()[-1] for one in done)
    assert said == ["schema: 0001"] * 3 + ["schema: empty -> 0001"]


def test_four_processes_migrate_one_sqlite_file_at_once(sqlite_url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: process.run("migrate", DATABASE_URL=sqlite_url), range(4)))
    assert [one.returncode for one in done] == [0] * 4, done


@pytest.mark.postgresql
async def test_a_failed_migration_leaves_nothing_behind(
    empty_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = migrate._upgrade

    def fail(connection: Connection, folder: Path) -> None:
        upgrade(connection, folder)
        raise RuntimeError("power cut")

    monkeypatch.setattr(migrate, "_upgrade", fail)
    database = Database(settings_for(empty_postgres_url), name="test")
    with pytest.raises(RuntimeError):
        await migrate.migrate(database, MIGRATIONS)
    await database.close()
    connection = await asyncpg.connect(empty_postgres_url)
    count = await connection.fetchval(
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
    )
    await connection.close()
    assert count == 0


@pytest.mark.postgresql
async def test_a_service_becomes_ready_when_somebody_migrates(empty_postgres_url: str) -> None:
    async with open_app(empty_postgres_url, auto_migrate=False) as (_, client):
        assert (await client.get("/health/ready")).status_code == 503
        done = await asyncio.to_thread(process.run, "migrate", DATABASE_URL=empty_postgres_url)
        assert done.returncode == 0
        await asyncio.sleep(1.1)
        assert (await client.get("/health/ready")).status_code == 200


def test_migrating_a_database_that_is_away_says_so() -> None:
    done = process.run("migrate", DATABASE_URL="postgresql://todo@127.0.0.1:9/x")
    assert done.returncode == 69
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_database_that_is_away_is_named_as_such() -> None:
    database = Database(settings_for("postgresql://todo@127.0.0.1:9/x"), name="test")
    with pytest.raises(DatabaseDown):
        await migrate.migrate(database, MIGRATIONS)
