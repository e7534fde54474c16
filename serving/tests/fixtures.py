"""Fixtures for the tests of every room."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from serving.data.migrate import Migrations
from serving.tests.process import Service
from serving.tests.sample.settings import Settings
from serving.tests.sample.tables import MIGRATIONS
from serving.tests.service import open_app
from tools.dev import complaints


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """What runs the tests that are coroutines."""
    return "asyncio"


@pytest.fixture(scope="session")
def migrations() -> Migrations:
    """Whose schema the databases have."""
    return MIGRATIONS


@pytest.fixture(autouse=True)
def clean_environment() -> Iterator[None]:
    """No setting comes from where the test is run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in Settings.model_fields:
            patch.delenv(name.upper(), raising=False)
            patch.delenv(f"{name.upper()}_FILE", raising=False)
        yield


@pytest.fixture(autouse=True)
def no_other_complaints(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test during which a service complained of what the test does not expect."""
    yield
    complaints.none_but(complaints.expected(request.node), Service.new_complaints())


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the sample service, on either database."""
    async with open_app(database_url) as (_, client):
        yield client


@pytest.fixture
async def plain(sqlite_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the sample service on SQLite, for what has nothing to do with the database."""
    async with open_app(sqlite_url) as (_, client):
        yield client
