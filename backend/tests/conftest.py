"""The todo service for tests: in this process, on either database.

A database of a test's own, and an application on it, take longer than most tests. Tests take turns
with one, which is emptied after each.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import hypothesis
import pytest

from backend.app import TodoApplication, create_app
from backend.schema import MIGRATIONS
from backend.settings import Settings
from backend.todos.tables import metadata, outbox
from serving.data.migrate import Migrations
from serving.tests.databases import (
    crash_safe_server,
    database_url,
    empty_postgres_url,
    empty_sqlite_url,
    fresh_database,
    initialised,
    lent_databases,
    migrated_file,
    postgres_server,
    postgres_url,
    shared_sqlite_url,
    sqlite_url,
)
from serving.tests.fixtures import no_other_complaints
from serving.tests.service import client_of

__all__ = [
    "crash_safe_server",
    "database_url",
    "empty_postgres_url",
    "empty_sqlite_url",
    "fresh_database",
    "initialised",
    "lent_databases",
    "migrated_file",
    "no_other_complaints",
    "postgres_server",
    "postgres_url",
    "shared_sqlite_url",
    "sqlite_url",
]

# The outbox first: what is just being moved from it is waited for, and then found in the log.
TABLES = [table.name for table in sorted(metadata.sorted_tables, key=lambda one: one is not outbox)]
NUMBERED = [
    table.name for table in metadata.sorted_tables if table.autoincrement_column is not None
]

# The same examples on every run, and nothing written beside the sources.
hypothesis.settings.register_profile("repository", database=None, derandomize=True)
hypothesis.settings.load_profile("repository")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def migrations() -> Migrations:
    """Whose schema the databases have."""
    return MIGRATIONS


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)


def settings_for(database_url: str, **options: Any) -> Settings:
    """Settings of a test: small, fast, and independent of the environment."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "log_level": "warning",
        "database_pool_timeout": 1.0,
        "ai_total_timeout": 5.0,
        **options,
    }
    return Settings(**values)


@asynccontextmanager
async def open_app(
    database_url: str, **options: Any
) -> AsyncIterator[tuple[TodoApplication, httpx.AsyncClient]]:
    """The application in this process, and a client that calls it directly."""
    app = create_app(settings_for(database_url, **options))
    async with client_of(app) as client:
        yield app, client


def emptying(*, is_sqlite: bool) -> list[str]:
    """Statements after which a database is as its migrations have left it."""
    restarts = (
        ["DELETE FROM sqlite_sequence"]
        if is_sqlite
        else [
            f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), 1, false)" for name in NUMBERED
        ]
    )
    return [*(f"DELETE FROM {name}" for name in TABLES), *restarts]


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]
)
def shared_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Either database with the newest schema, of `shared_app` alone."""
    if request.param == "sqlite":
        yield request.getfixturevalue("shared_sqlite_url")
    else:
        with fresh_database(request.getfixturevalue("postgres_server")) as url:
            yield url


@pytest.fixture(scope="module")
async def shared_app(
    shared_url: str,
) -> AsyncIterator[tuple[TodoApplication, httpx.AsyncClient]]:
    """The application that `client` calls."""
    async with open_app(shared_url) as opened:
        yield opened


@pytest.fixture
async def client(
    shared_app: tuple[TodoApplication, httpx.AsyncClient],
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application on either database, which is empty."""
    app, client = shared_app
    yield client
    async with app.database.write() as connection:
        for statement in emptying(is_sqlite=app.database.is_sqlite):
            await connection.exec_driver_sql(statement)
