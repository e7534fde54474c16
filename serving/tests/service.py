"""The sample service in the test's own process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette

from serving.tests.sample.app import SampleApplication, create_app
from serving.tests.sample.settings import Settings

PATH = "/notes"


def settings_for(database_url: str, **options: Any) -> Settings:
    """Settings of a test: small, fast, and independent of the environment."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "log_level": "warning",
        "database_pool_timeout": 1.0,
        **options,
    }
    return Settings(**values)


@asynccontextmanager
async def client_of(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """An application between its start and its end, and a client that calls it directly."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


@asynccontextmanager
async def open_app(
    database_url: str, **options: Any
) -> AsyncIterator[tuple[SampleApplication, httpx.AsyncClient]]:
    """The sample's application in this process, and a client of it."""
    app = create_app(settings_for(database_url, **options))
    async with client_of(app) as client:
        yield app, client
