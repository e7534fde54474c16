"""The migrations of the todo service: in order, and to the schema that the code has."""

import re
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Connection, inspect

from backend.schema import MIGRATIONS
from backend.tests import process
from backend.tests.conftest import settings_for
from backend.todos import tables
from serving.data.database import Database
from serving.data.migrate import migrate


def test_the_newest_migration_is_the_one_the_server_expects() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS.folder))
    assert ScriptDirectory.from_config(config).get_heads() == [MIGRATIONS.newest], (
        "backend/schema.py names the newest revision in backend/migrations/versions"
    )


def test_revisions_are_numbers_of_one_width() -> None:
    folder = MIGRATIONS.folder / "versions"
    names = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert names
    assert all(re.match(r"\d{4}_", name) for name in names), (
        "expected files named NNNN_words.py in backend/migrations/versions"
    )


async def test_the_migrated_schema_is_the_one_in_the_code(database_url: str) -> None:
    database = Database(settings_for(database_url), name="test")
    await migrate(database, MIGRATIONS)

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, tables.metadata))

    def constraints(connection: Connection) -> set[str]:
        found = inspect(connection).get_check_constraints("todos")
        return {str(one["name"]) for one in found}

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == [], (
            "tables.py and the migrations say different things: put what is listed into a new file "
            "in backend/migrations/versions, and its number into backend/schema.py"
        )
        found = await connection.run_sync(constraints)
        name = connection.dialect.name
    await database.close()
    other = {"sqlite": "ck_todos_tags", "postgresql": "ck_todos_tags_json"}[name]
    expected = {
        str(one.name) for one in tables.todos.constraints if isinstance(one, CheckConstraint)
    }
    assert found == expected - {other}, (
        "constraints of tables.py and of the migrations differ: change backend/migrations/versions"
    )


@pytest.mark.parametrize("url", ["empty_sqlite_url", "empty_postgres_url"])
def test_the_command_migrates_an_empty_database(url: str, request: pytest.FixtureRequest) -> None:
    said = [
        process.run("migrate", DATABASE_URL=request.getfixturevalue(url)).stdout.splitlines()[-1]
        for _ in range(2)
    ]
    newest = MIGRATIONS.newest
    assert said == [f"schema: empty -> {newest}", f"schema: {newest}"]


def test_downgrading_leaves_no_table(empty_sqlite_url: str) -> None:
    import sqlalchemy as sa
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS.folder))
    engine = sa.create_engine(empty_sqlite_url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
    engine.dispose()
