"""The service greets, as it was told to."""

from collections.abc import AsyncIterator

import httpx
import pytest

from examples.hello.app import create_app
from examples.hello.settings import Settings
from serving.web.security import new_key


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_app(Settings(salutation="Welcome")))
    async with httpx.AsyncClient(transport=transport, base_url="http://hello") as made:
        yield made


@pytest.mark.anyio
async def test_a_greeting_begins_with_the_salutation(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/greetings/Ada")

    assert answer.json() == {"greeting": "Welcome, Ada"}


@pytest.mark.anyio
async def test_a_greeting_needs_a_key_where_one_is_required() -> None:
    _, entry = new_key("ada")
    app = create_app(Settings(auth_required=True, api_keys=(entry,)))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://hello") as stranger:
        answer = await stranger.get("/api/v1/greetings/Ada")

    assert answer.status_code == 401


@pytest.mark.anyio
async def test_another_path_is_a_problem_of_the_service(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/greetings")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
