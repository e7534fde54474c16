"""What the tests of the service are given: an application, a client, a database."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import hypothesis
import pytest

from backend.app import TodoApplication, create_app
from backend.schema import MIGRATIONS
from backend.settings import Settings
from serving.data.database import Database
from serving.data.migrate import migrate
from tools.dev import postgres

# The same examples on every run, and nothing written beside the sources.
hypothesis.settings.register_profile("repository", database=None, derandomize=True)
hypothesis.settings.load_profile("repository")

BASE_URL = "http://test"

type OpenApp = Callable[..., AbstractAsyncContextManager[tuple[TodoApplication, httpx.AsyncClient]]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    root = postgres.tree()
    if root is None:
        message = "TEST_POSTGRES is unset: it names an unpacked Debian root with postgresql-17"
        if "TEST_SRCDIR" in os.environ:
            pytest.fail(message)
        pytest.skip(message)
    folder = postgres.new_folder()
    server = postgres.Postgres(root, folder)
    try:
        server.start()
        asyncio.run(_make_template(server))
        yield server
    finally:
        server.stop()
        postgres.remove(folder)


async def _make_template(server: postgres.Postgres) -> None:
    await _execute(server, "CREATE DATABASE migrated")
    database = Database(settings_for(f"{server.url.removesuffix('postgres')}migrated"), name="test")
    await migrate(database, MIGRATIONS)
    await database.close()


async def _execute(server: postgres.Postgres, statement: str) -> None:
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


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


@contextmanager
def fresh_database(server: postgres.Postgres, template: str = "migrated") -> Iterator[str]:
    """The URL of a database that is dropped again; `template1` is one without a schema."""
    name = f"test_{uuid.uuid4().hex}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield f"{server.url.removesuffix('postgres')}{name}"
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


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'todos.db'}"


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)],
)
def database_url(request: pytest.FixtureRequest) -> str:
    """Either database, for what has to hold on both."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url


@asynccontextmanager
async def open_app(
    database_url: str, **options: Any
) -> AsyncIterator[tuple[TodoApplication, httpx.AsyncClient]]:
    """The application in this process, and a client that calls it directly."""
    app = create_app(settings_for(database_url, **options))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client,
    ):
        yield app, client


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with open_app(database_url) as (_, client):
        yield client
