"""What `doctor` says of a database."""

import re
import socket
import time

import asyncpg
import pytest
from pydantic import SecretStr

from serving.data import doctor
from serving.data.database import Database
from serving.data.settings import DatabaseSettings
from serving.tests.sample.tables import MIGRATIONS, notes
from serving.watch.doctor import Finding


async def found(url: str) -> dict[str, Finding]:
    settings = DatabaseSettings(database_url=SecretStr(url), database_connect_timeout=2)
    _, look = doctor.database(Database(settings, name="test", pool_size=1), MIGRATIONS, [notes])
    return {one.subject: one for one in await look()}


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


async def test_a_missing_schema_names_the_command(
    request: pytest.FixtureRequest, empty_sqlite_url: str
) -> None:
    schema = (await found(empty_sqlite_url))["schema"]
    assert schema.verdict == "failed"
    assert schema.text == f"revision none, {MIGRATIONS.newest} needed; run the command migrate"


async def found_with(url: str, *rights: str) -> dict[str, Finding]:
    """As a role that has these rights alone."""
    role = "weak_" + url.rpartition("_")[2]
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE ROLE {role} LOGIN")
        for right in rights:
            await connection.execute(f"GRANT {right} TO {role}")
        return await found(re.sub("//[^@]+@", f"//{role}@", url))
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
