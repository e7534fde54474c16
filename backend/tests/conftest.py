"""The todo service for tests: in this process, on either database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import hypothesis
import pytest

from backend.app import TodoApplication, create_app
from backend.schema import MIGRATIONS
from backend.settings import Settings
from serving.data.migrate import Migrations
from serving.tests.databases import (
    crash_safe_server,
    database_url,
    empty_postgres_url,
    empty_sqlite_url,
    fresh_database,
    migrated_file,
    postgres_server,
    postgres_url,
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
    "migrated_file",
    "no_other_complaints",
    "postgres_server",
    "postgres_url",
    "sqlite_url",
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


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with open_app(database_url) as (_, client):
        yield client
