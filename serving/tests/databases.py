"""Databases for tests: PostgreSQL and SQLite, empty or with a service's newest schema.

The schema is made once in a run and then copied, or emptied: migrating takes longer than most
tests. Fixtures; a service's conftest imports them and says by a fixture of its own, `migrations`,
whose schema.
"""

import asyncio
import itertools
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
from serving.tests import scratch
from tools.dev import postgres

# What is to be the same again after a test, so that the next one finds an empty database.
_SCHEMA = """
    SELECT (SELECT array_agg(format('%s', a) ORDER BY attrelid, attnum) FROM (
                SELECT attrelid, attnum, attname, atttypid, atttypmod, attnotnull, attidentity
                FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
                WHERE relnamespace = 'public'::regnamespace) AS a),
           (SELECT array_agg(tgname ORDER BY oid) FROM pg_trigger WHERE NOT tgisinternal),
           (SELECT array_agg(proname ORDER BY oid) FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace),
           (SELECT count(*) FROM pg_db_role_setting)
"""
_TABLES = """
    SELECT oid::regclass::text FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""
_REVISION = "SELECT version_num FROM alembic_version"


@pytest.fixture(scope="session")
def postgres_server(
    request: pytest.FixtureRequest, migrations: Migrations
) -> Iterator[postgres.Postgres]:
    """A server of the whole run's, whose databases are made with the newest schema."""
    # Where tests have servers of their own, one is initialised for all.
    others = {"own_server", "crash_safe_server"}
    are_others = any(
        others & set(getattr(one, "fixturenames", ())) for one in request.session.items
    )
    like = request.getfixturevalue("initialised") if are_others else None
    with _server(postgres.FAST, like) as server:
        asyncio.run(_migrate(_url(server, "template1"), migrations))
        yield server


@pytest.fixture(scope="session")
def initialised() -> Iterator[postgres.Postgres]:
    """A server that is never started; the others are copies of it."""
    with scratch.folder() as folder:
        yield postgres.Postgres(_root(), folder)


@pytest.fixture
def own_server(initialised: postgres.Postgres) -> Iterator[postgres.Postgres]:
    """A server of the test's own, which it may stop."""
    with _server(postgres.FAST, initialised) as server:
        yield server


@pytest.fixture
def crash_safe_server(initialised: postgres.Postgres) -> Iterator[postgres.Postgres]:
    """A server of the test's own, which it may kill: what was acknowledged outlives that."""
    with _server(postgres.CRASH_SAFE, initialised) as server:
        yield server


@contextmanager
def fresh_database(server: postgres.Postgres, template: str = "template1") -> Iterator[str]:
    """The URL of a database that is dropped again; `template0` is one without a schema."""
    name = f"test_{uuid.uuid4().hex}"
    asyncio.run(_execute(server.url, f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield _url(server, name)
    asyncio.run(_execute(server.url, f"DROP DATABASE {name} WITH (FORCE)"))


class Lent:
    """A database that tests take turns with: to make one takes longer than most of them.

    Attributes:
        url: its URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._schema: asyncpg.Record | None = None
        self._emptying = ""

    async def look(self) -> None:
        """Remember what it is like."""
        connection = await asyncpg.connect(self.url)
        try:
            self._schema = await connection.fetchrow(_SCHEMA)
            tables = [row[0] for row in await connection.fetch(_TABLES)]
            revisions = [row[0] for row in await connection.fetch(_REVISION)]
        finally:
            await connection.close()
        self._emptying = "; ".join(
            [
                # Whatever refers to what: all of it goes.
                "SET session_replication_role = replica",
                *(f"DELETE FROM {table}" for table in tables),
                *(f"INSERT INTO alembic_version VALUES ('{revision}')" for revision in revisions),
                "SELECT setval(seqrelid, seqstart, false) FROM pg_sequence",
            ]
        )

    async def empty(self) -> bool:
        """Make it as it was, with nobody on it; false where more was changed than rows."""
        connection = await asyncpg.connect(self.url)
        try:
            # What is left of a test may hold locks.
            await connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            if await connection.fetchrow(_SCHEMA) != self._schema:
                return False
            await connection.execute(self._emptying)
            return True
        finally:
            await connection.close()


@pytest.fixture(scope="session")
def lent_databases(postgres_server: postgres.Postgres) -> Iterator[Lent]:
    """The database that `postgres_url` lends, and another one whenever that is spoilt."""

    def lend() -> Iterator[Lent]:
        for number in itertools.count():
            asyncio.run(_execute(postgres_server.url, f"CREATE DATABASE lent_{number}"))
            lent = Lent(_url(postgres_server, f"lent_{number}"))
            asyncio.run(lent.look())
            yield lent
            while asyncio.run(lent.empty()):
                yield lent

    return lend()


@pytest.fixture
def postgres_url(lent_databases: Iterator[Lent]) -> str:
    """An empty database with the newest schema, on which nobody else is."""
    return next(lent_databases).url


@pytest.fixture
def empty_postgres_url(postgres_server: postgres.Postgres) -> Iterator[str]:
    """A fresh database without a schema."""
    with fresh_database(postgres_server, "template0") as url:
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


def _root() -> Path:
    root = postgres.tree()
    if root is None:
        message = "TEST_POSTGRES is unset: it names an unpacked Debian root with postgresql-17"
        if "TEST_SRCDIR" in os.environ:
            pytest.fail(message)
        pytest.skip(message)
    return root


@contextmanager
def _server(
    settings: Mapping[str, str], like: postgres.Postgres | None
) -> Iterator[postgres.Postgres]:
    with scratch.folder() as folder:
        server = postgres.Postgres(_root(), folder, settings=settings, like=like)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _url(server: postgres.Postgres, name: str) -> str:
    return f"{server.url.removesuffix('postgres')}{name}"


async def _migrate(url: str, migrations: Migrations) -> None:
    database = Database(DatabaseSettings(database_url=SecretStr(url)), name="test")
    await migrate(database, migrations)
    await database.close()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
