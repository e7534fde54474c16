"""What `doctor` says of a database."""

import re
import socket
import time
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from serving.data import doctor
from serving.data.database import Database
from serving.data.settings import DatabaseSettings
from serving.tests.sample.tables import MIGRATIONS, notes
from serving.watch.doctor import Finding


async def found(url: str, *, auto_migrate: bool = True) -> dict[str, Finding]:
    settings = DatabaseSettings(
        database_url=SecretStr(url), database_connect_timeout=2, auto_migrate=auto_migrate
    )
    _, look = doctor.database(Database(settings, name="test", pool_size=1), MIGRATIONS, [notes])
    return {one.subject: one for one in await look()}


async def at(url: str, revision: str) -> str:
    """The URL of a database whose schema is said to have that revision."""
    database = Database(DatabaseSettings(database_url=SecretStr(url)), name="test")
    async with database.write() as connection:
        update = text("UPDATE alembic_version SET version_num = :value")
        await connection.execute(update, {"value": revision})
    await database.close()
    return url


async def test_a_database_that_is_well_has_no_fault(database_url: str) -> None:
    findings = await found(database_url)
    faults = {name for name, one in findings.items() if one.verdict != "ok"}
    # The tests' own role may do everything.
    assert faults <= {"role"}
    assert findings["schema"].text == f"revision {MIGRATIONS.newest}"


@pytest.mark.postgresql
async def test_version_and_clock_are_told(postgres_url: str) -> None:
    findings = await found(postgres_url)
    assert findings["database"].text.startswith("PostgreSQL 17")
    assert findings["clock"].text.startswith("the database's is 0.")


@pytest.mark.postgresql
async def test_a_clock_that_differs_is_a_warning(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 60)
    clock = (await found(postgres_url))["clock"]
    assert clock.verdict == "warning"
    assert "60.0 s ahead" in clock.text
    assert "NTP" in clock.text


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def empty_url(request: pytest.FixtureRequest) -> str:
    name = "sqlite" if request.param == "sqlite" else "postgres"
    url: str = request.getfixturevalue(f"empty_{name}_url")
    return url


async def test_a_missing_schema_that_the_start_makes_is_no_failure(empty_url: str) -> None:
    findings = await found(empty_url)
    needed = f"revision none, {MIGRATIONS.newest} needed"
    assert findings["schema"].verdict == "warning"
    assert findings["schema"].text == (
        f"{needed}; the service migrates at start (AUTO_MIGRATE is on)"
    )
    assert [one for one in findings.values() if one.verdict == "failed"] == []


async def test_a_missing_schema_that_nobody_makes_names_the_command(empty_url: str) -> None:
    findings = await found(empty_url, auto_migrate=False)
    assert findings["schema"].verdict == "failed"
    assert findings["schema"].text == (
        f"revision none, {MIGRATIONS.newest} needed; run the command migrate (AUTO_MIGRATE is off)"
    )
    # Of tables that are not there, nothing is said to be well.
    assert "rights" not in findings


@pytest.mark.parametrize(("auto_migrate", "verdict"), [(True, "warning"), (False, "failed")])
async def test_an_older_schema_is_told_as_a_missing_one(
    database_url: str, auto_migrate: bool, verdict: str
) -> None:
    schema = (await found(await at(database_url, "0001"), auto_migrate=auto_migrate))["schema"]
    assert schema.verdict == verdict
    assert schema.text.startswith(f"revision 0001, {MIGRATIONS.newest} needed; ")


async def test_a_newer_schema_is_a_warning(database_url: str) -> None:
    schema = (await found(await at(database_url, "0003"), auto_migrate=False))["schema"]
    assert schema.verdict == "warning"
    assert schema.text.startswith(f"revision 0003, newer than {MIGRATIONS.newest}: ")


@pytest.mark.parametrize("auto_migrate", [True, False])
async def test_another_service_s_schema_is_a_failure(database_url: str, auto_migrate: bool) -> None:
    url = await at(database_url, "1975ea83b712")
    schema = (await found(url, auto_migrate=auto_migrate))["schema"]
    assert schema.verdict == "failed"
    assert "'1975ea83b712' is none of this service's" in schema.text
    assert schema.text.endswith("look at DATABASE_URL")


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a text that is no database" * 100)
    database = (await found(f"sqlite:///{tmp_path}/notes.txt"))["database"]
    assert database.verdict == "failed"
    assert "file is not a database" in database.text
    assert database.text.endswith("look at DATABASE_URL")


async def found_with(url: str, *rights: str, auto_migrate: bool = False) -> dict[str, Finding]:
    """As a role that has these rights alone."""
    role = "weak_" + url.rpartition("_")[2]
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE ROLE {role} LOGIN")
        for right in rights:
            await connection.execute(f"GRANT {right} TO {role}")
        return await found(re.sub("//[^@]+@", f"//{role}@", url), auto_migrate=auto_migrate)
    finally:
        await connection.execute(f"DROP OWNED BY {role}")
        await connection.execute(f"DROP ROLE {role}")
        await connection.close()


@pytest.mark.postgresql
async def test_rights_that_are_lacking_are_named(postgres_url: str) -> None:
    findings = await found_with(
        postgres_url, "SELECT ON alembic_version", "SELECT, INSERT ON notes"
    )
    assert findings["rights"].verdict == "failed"
    assert findings["rights"].text == "lacks UPDATE on notes, DELETE on notes; GRANT them"
    assert findings["schema"].verdict == "ok"
    assert "role" not in findings


@pytest.mark.postgresql
async def test_a_schema_that_may_not_be_read_is_a_lack_of_rights(postgres_url: str) -> None:
    findings = await found_with(postgres_url)
    assert findings["rights"].text.startswith("lacks SELECT on alembic_version, SELECT on notes")
    assert "schema" not in findings


@pytest.mark.postgresql
async def test_a_role_that_may_not_migrate_at_start_is_a_failure(empty_postgres_url: str) -> None:
    schema = (await found_with(empty_postgres_url, auto_migrate=True))["schema"]
    assert schema.verdict == "failed"
    assert schema.text == (
        f"revision none, {MIGRATIONS.newest} needed; AUTO_MIGRATE is on, but the role lacks "
        "CREATE on the schema public: run the command migrate as a role that has it"
    )


@pytest.mark.postgresql
async def test_a_role_that_does_not_own_the_tables_may_not_migrate_them(postgres_url: str) -> None:
    rights = ("SELECT ON alembic_version", "CREATE ON SCHEMA public")
    findings = await found_with(await at(postgres_url, "0001"), *rights, auto_migrate=True)
    assert findings["schema"].verdict == "failed"
    assert "lacks ownership of alembic_version, ownership of notes:" in findings["schema"].text


@pytest.mark.postgresql
async def test_a_superuser_is_a_warning(postgres_url: str) -> None:
    assert (await found(postgres_url))["role"].verdict == "warning"


async def test_a_database_that_hangs_says_how_long_it_was_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        findings = await found(f"postgresql://sample@127.0.0.1:{port}/sample")
    database = findings["database"]
    assert database.verdict == "failed"
    assert re.search(r"TimeoutError: no answer within \d+ s; look at DATABASE_URL", database.text)


async def test_a_database_that_is_away_says_where_to_look() -> None:
    findings = await found("postgresql://sample:hunter2@127.0.0.1:1/sample")
    database = findings["database"]
    assert database.verdict == "failed"
    assert "DATABASE_URL" in database.text
    assert "hunter2" not in database.text
