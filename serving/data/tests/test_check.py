"""What readiness sees of the database."""

import pytest
from sqlalchemy import text

from serving.data.check import DatabaseCheck
from serving.data.database import Database
from serving.tests.sample.tables import MIGRATIONS
from serving.tests.service import settings_for


async def statuses(url: str, revision: str | None = None) -> list[str]:
    database = Database(settings_for(url), name="test")
    if revision is not None:
        async with database.write() as connection:
            await connection.execute(
                text("UPDATE alembic_version SET version_num = :value"), {"value": revision}
            )
    check = DatabaseCheck(database, MIGRATIONS)
    await check.look()
    await database.close()
    assert [one.name for one in check.components] == ["database", "schema"]
    return [one.status for one in check.components]


async def test_a_migrated_database_is_well(database_url: str) -> None:
    assert await statuses(database_url) == ["ok", "ok"]


@pytest.mark.parametrize(("revision", "schema"), [("0001", "unavailable"), ("0003", "ok")])
async def test_an_older_schema_is_not_enough_and_a_newer_one_is(
    sqlite_url: str, revision: str, schema: str
) -> None:
    assert await statuses(sqlite_url, revision) == ["ok", schema]


async def test_a_database_without_a_schema_answers_all_the_same(empty_sqlite_url: str) -> None:
    assert await statuses(empty_sqlite_url) == ["ok", "unavailable"]


async def test_of_a_database_that_is_away_nothing_is_known() -> None:
    assert await statuses("postgresql://x@127.0.0.1:9/x") == ["unavailable", "unknown"]
