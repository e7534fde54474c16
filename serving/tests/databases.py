"""Databases for tests: PostgreSQL and SQLite, empty or with a service's newest schema.

The schema is made once in a run and then copied: migrating takes longer than most tests. Fixtures;
a service's conftest imports them and says by a fixture of its own, `migrations`, whose schema.
"""

import asyncio
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from serving.data.database import Database
from serving.data.migrate import Migrations, migrate
from serving.data.settings import DatabaseSettings
from tools.dev import postgres

MIGRATED = "migrated"


@pytest.fixture(scope="session")
def postgres_server(migrations: Migrations) -> Iterator[postgres.Postgres]:
    """A server of the whole run's; its database `migrated` is the template of the others."""
    with _server(postgres.FAST) as server:
        asyncio.run(_execute(server, f"CREATE DATABASE {MIGRATED}"))
        asyncio.run(_migrate(_url(server, MIGRATED), migrations))
        yield server


@pytest.fixture
def own_server() -> Iterator[postgres.Postgres]:
    """A server of the test's own, which it may stop."""
    with _server(postgres.FAST) as server:
        yield server


@pytest.fixture
def crash_safe_server() -> Iterator[postgres.Postgres]:
    """A server of the test's own, which it may kill: what was acknowledged outlives that."""
    with _server(postgres.CRASH_SAFE) as server:
        yield server


@contextmanager
def fresh_database(server: postgres.Postgres, template: str = MIGRATED) -> Iterator[str]:
    """The URL of a database that is dropped again; `template1` is one without a schema."""
    name = f"test_{uuid.uuid4().hex}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield _url(server, name)
    asyncio.run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def postgres_url(postgres_server: postgres.Postgres) -> Iterator[str]:
    """A fresh database with the newest schema."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_server: postgres.Postgres) -> Iterator[str]:
    """A fresh database without a schema."""
    with fresh_database(postgres_server, "template1") as url:
        yield url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory, migrations: Migrations) -> Path:
    """A SQLite file with the newest schema, to be copied."""
    path: Path = tmp_path_factory.mktemp("template") / "migrated.db"
    asyncio.run(_migrate(f"sqlite:///{path}", migrations))
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, migrated_file: Path) -> str:
    """A fresh SQLite file with the newest schema."""
    return f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'test.db')}"


@pytest.fixture(scope="module")
def shared_sqlite_url(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> str:
    """The same, for all tests of a module."""
    return f"sqlite:///{shutil.copy(migrated_file, tmp_path_factory.mktemp('shared') / 'test.db')}"


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """Where a SQLite file may be made."""
    return f"sqlite:///{tmp_path / 'empty.db'}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest) -> str:
    """Either database with the newest schema, for what has to hold on both."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url


@contextmanager
def _server(settings: Mapping[str, str]) -> Iterator[postgres.Postgres]:
    root = postgres.tree()
    if root is None:
        message = "TEST_POSTGRES is unset: it names an unpacked Debian root with postgresql-17"
        if "TEST_SRCDIR" in os.environ:
            pytest.fail(message)
        pytest.skip(message)
    folder = postgres.new_folder()
    server = postgres.Postgres(root, folder, settings=settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        postgres.remove(folder)


def _url(server: postgres.Postgres, name: str) -> str:
    return f"{server.url.removesuffix('postgres')}{name}"


async def _migrate(url: str, migrations: Migrations) -> None:
    database = Database(DatabaseSettings(database_url=SecretStr(url)), name="test")
    await migrate(database, migrations)
    await database.close()


async def _execute(server: postgres.Postgres, statement: str) -> None:
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
