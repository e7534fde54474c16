"""The AsyncAPI document: that it is valid and the committed one, and that the feed keeps to it."""

import asyncio
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema_rs import Draft7Validator
from websockets.asyncio.client import connect

from backend.app import create_app
from backend.tests.conftest import open_app, settings_for
from backend.tests.process import Running
from serving.feed import description, sockets
from serving.web.security import new_key

COMMITTED = Path(__file__).parents[1] / "asyncapi.json"
PAGE = Path(__file__).parents[2] / "docs/websocket.md"
TODOS = "/api/v1/todos"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """As the service has it."""
    return create_app(settings_for("sqlite:///x")).asyncapi()


def test_the_committed_document_is_the_real_one(document: dict[str, Any]) -> None:
    assert json.loads(COMMITTED.read_text()) == document, (
        "run: tools/bazel run //backend -- asyncapi > backend/asyncapi.json"
    )


def test_the_document_fits_asyncapis_schema(document: dict[str, Any]) -> None:
    schema = json.loads(Path(os.environ["ASYNCAPI_SCHEMA"]).read_text())
    assert "not" not in schema, schema["description"]
    faults = [
        f"{list(fault.instance_path)}: {fault.message[:300]}"
        for fault in Draft7Validator(schema).iter_errors(document)
    ]
    assert faults == []


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))
    assert references
    for reference in references:
        found: Any = document
        for part in reference.split("/"):
            found = found[part]
        assert found


def test_the_close_codes_are_those_of_the_page_and_of_the_code(document: dict[str, Any]) -> None:
    described = set(document["channels"]["feed"]["x-close-codes"])
    _, _, text = PAGE.read_text().partition("**Close codes.**")
    assert described == set(re.findall(r"\b(1\d{3}): ", text))
    own = {sockets.GOING_AWAY, sockets.UNSUPPORTED_DATA, sockets.POLICY_VIOLATION}
    assert own | {sockets.TRY_AGAIN_LATER} <= description.CLOSE_CODES.keys()


async def test_it_is_served_where_the_openapi_document_is(sqlite_url: str) -> None:
    async with open_app(sqlite_url) as (app, client):
        assert (await client.get("/asyncapi.json")).json() == app.asyncapi()
    options = {"environment": "prod", "api_keys": (new_key("web")[1],)}
    async with open_app(sqlite_url, **options) as (_, client):
        for path in ("/openapi.json", "/asyncapi.json"):
            assert (await client.get(path)).status_code == 404


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    path = tmp_path_factory.mktemp("feed") / "todos.db"
    with Running(DATABASE_URL=f"sqlite:///{path}", WS_REPLAY_LIMIT="2") as running:
        running.wait_ready()
        yield running


async def test_each_message_of_the_feed_is_a_described_one(
    document: dict[str, Any], server: Running
) -> None:
    seen: dict[str, list[Any]] = {}

    async def take(connection: Any, number: int) -> None:
        for _ in range(number):
            async with asyncio.timeout(30):
                message = json.loads(await connection.recv())
            seen.setdefault(message["kind"], []).append(message)

    channel = document["channels"]["feed"]
    url = f"ws://127.0.0.1:{server.port}{channel['address']}"
    async with (
        connect(url, proxy=None) as connection,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        for _ in range(2):
            path = (await client.post(TODOS, json={"title": "x"})).headers["Location"]
            await client.patch(path, json={"due": "2030-06-01T08:30:00Z", "tags": ["a"]})
            await client.delete(path)
        await take(connection, 7)
    # More was missed than is replayed.
    [parameter] = channel["bindings"]["ws"]["query"]["properties"]
    async with connect(f"{url}?{parameter}=1", proxy=None) as connection:
        await take(connection, 2)

    messages = document["components"]["messages"]
    assert set(seen) == set(messages)
    for kind, found in seen.items():
        schema = {**messages[kind]["payload"], "components": document["components"]}
        for message in found:
            assert list(Draft7Validator(schema).iter_errors(message)) == []
