"""Migrating: once, by one process, wholly or not at all."""

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import Connection, text

from serving.data import command, migrate
from serving.data.database import Database
from serving.data.errors import DatabaseDown
from serving.tests.process import run
from serving.tests.sample.tables import MIGRATIONS
from serving.tests.service import open_app, settings_for
from serving.watch import logs


@pytest.mark.parametrize(
    ("revision", "are"), [(None, False), ("0001", False), ("0002", True), ("0099", True)]
)
def test_a_newer_schema_counts_as_migrated(revision: str | None, are: bool) -> None:
    assert MIGRATIONS.are_applied(revision) is are


@pytest.mark.parametrize("revision", ["1975ea83b712", "ffff", "00020", "٠٠٠٩", ""])
def test_a_revision_of_another_kind_counts_as_no_migration_of_ours(revision: str) -> None:
    assert not MIGRATIONS.are_applied(revision)


async def test_another_service_s_schema_is_left_alone(database_url: str) -> None:
    database = Database(settings_for(database_url), name="test")
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '1975ea83b712'"))
    with pytest.raises(migrate.ForeignSchema, match="'1975ea83b712', another service's"):
        await migrate.migrate(database, MIGRATIONS)
    async with database.read() as connection:
        assert await migrate.current_revision(connection) == "1975ea83b712"
    await database.close()
    done = await asyncio.to_thread(run, "migrate", DATABASE_URL=database_url)
    assert done.returncode == 78
    assert "look at DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


async def test_the_revision_before_and_after_is_told(empty_sqlite_url: str) -> None:
    database = Database(settings_for(empty_sqlite_url), name="test")
    assert await migrate.migrate(database, MIGRATIONS) == (None, "0002")
    async with database.read() as connection:
        assert await migrate.current_revision(connection) == "0002"
    await database.close()


async def test_migrating_twice_changes_nothing(database_url: str) -> None:
    database = Database(settings_for(database_url), name="test")
    assert await migrate.migrate(database, MIGRATIONS) == ("0002", "0002")
    await database.close()


async def test_a_migration_that_is_not_there_is_missed(empty_sqlite_url: str) -> None:
    migrations = migrate.Migrations(folder=MIGRATIONS.folder, newest="0009", lock=2)
    database = Database(settings_for(empty_sqlite_url), name="test")
    with pytest.raises(migrate.MissingMigration, match="at 0002, and this version needs 0009"):
        await migrate.migrate(database, migrations)
    async with database.read() as connection:
        assert await migrate.current_revision(connection) == "0002"
    await database.close()


async def test_the_command_fails_where_a_migration_is_not_there(
    empty_sqlite_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logs, "configure", lambda _: None)
    migrations = migrate.Migrations(folder=MIGRATIONS.folder, newest="0009", lock=2)
    settings = settings_for(empty_sqlite_url)
    assert await command.run(settings, settings, migrations, name="test") == 1
    assert "at 0002, and this version needs 0009: no migration in " in capsys.readouterr().err


async def test_a_folder_with_a_percent_sign_is_found(empty_sqlite_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "100%(x)s"
    shutil.copytree(MIGRATIONS.folder, folder)
    migrations = migrate.Migrations(folder=folder, newest="0002", lock=2)
    database = Database(settings_for(empty_sqlite_url), name="test")
    assert await migrate.migrate(database, migrations) == (None, "0002")
    await database.close()


@pytest.mark.postgresql
async def test_a_migrated_connection_keeps_no_settings(empty_postgres_url: str) -> None:
    async with open_app(empty_postgres_url, auto_migrate=False) as (app, _):
        database = app.database
        await migrate.migrate(database, MIGRATIONS)
        async with database.read() as connection:
            assert await connection.scalar(text("SHOW statement_timeout")) == "5s"


@pytest.mark.postgresql
def test_four_processes_migrate_at_once_and_one_does_it(empty_postgres_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: run("migrate", DATABASE_URL=empty_postgres_url), range(4)))
    assert [one.returncode for one in done] == [0] * 4, done
    said = sorted(one.stdout.splitlines()[-1] for one in done)
    assert said == ["schema: 0002"] * 3 + ["schema: empty -> 0002"]


def test_four_processes_migrate_one_sqlite_file_at_once(empty_sqlite_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: run("migrate", DATABASE_URL=empty_sqlite_url), range(4)))
    assert [one.returncode for one in done] == [0] * 4, done
    said = sorted(one.stdout.splitlines()[-1] for one in done)
    assert said == ["schema: 0002"] * 3 + ["schema: empty -> 0002"]


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
        done = await asyncio.to_thread(run, "migrate", DATABASE_URL=empty_postgres_url)
        assert done.returncode == 0
        async with asyncio.timeout(30):
            while (await client.get("/health/ready")).status_code != 200:
                await asyncio.sleep(0.05)


def test_migrating_a_database_that_is_away_says_so() -> None:
    done = run("migrate", DATABASE_URL="postgresql://sample@127.0.0.1:9/x")
    assert done.returncode == 69
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_database_that_is_away_is_named_as_such() -> None:
    database = Database(settings_for("postgresql://sample@127.0.0.1:9/x"), name="test")
    with pytest.raises(DatabaseDown):
        await migrate.migrate(database, MIGRATIONS)
