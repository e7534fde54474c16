"""The media types of bodies."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter, Depends
from pydantic import BaseModel

from serving.identity import Identity
from serving.process.settings import ServiceSettings
from serving.web.application import Application
from serving.web.media import MERGE_PATCH

IDENTITY = Identity(name="inn-keeper", title="Inn", module="inn", version="4.5.6")


class Guest(BaseModel):
    """Somebody."""

    name: str


@pytest.fixture
def client() -> httpx.AsyncClient:
    settings = ServiceSettings()
    app = Application(IDENTITY, web=settings, watch=settings, description="An inn.")
    router = APIRouter(dependencies=[Depends(app.api_key)], route_class=app.api_key.route_class)

    @router.post("/guests")
    async def welcome(guest: Guest) -> str:
        return guest.name

    @router.patch("/guests", openapi_extra={"requestBody": {"content": {MERGE_PATCH: {}}}})
    async def change(guest: Guest) -> str:
        return guest.name

    @router.post("/bell")
    async def ring() -> str:
        return "ring"

    app.add_routes([router])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


BODY = b'{"name":"Ada"}'


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/json ;a=b",
    ],
)
async def test_json_is_taken_by_any_of_its_names(client: httpx.AsyncClient, kind: str) -> None:
    response = await client.post("/guests", content=BODY, headers={"Content-Type": kind})
    assert (response.status_code, response.text) == (200, '"Ada"')


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "application/merge-patch+json",
        "application/json, text/plain",
        "",
    ],
)
async def test_another_kind_of_body_is_refused_with_what_is_taken(
    client: httpx.AsyncClient, kind: str
) -> None:
    response = await client.post("/guests", content=BODY, headers={"Content-Type": kind})
    assert response.status_code == 415
    assert response.headers["Accept"] == "application/json"
    assert response.json()["type"] == "/problems/unsupported-media-type"
    assert "expected application/json" in response.json()["detail"]


async def test_a_body_without_a_kind_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/guests", content=BODY)
    assert response.status_code == 415
    assert response.json()["detail"] == "Content-Type: expected application/json, got none"


async def test_a_chunked_body_has_a_kind_too(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield BODY

    response = await client.post("/guests", content=chunks())
    assert response.status_code == 415


async def test_two_kinds_are_none(client: httpx.AsyncClient) -> None:
    headers = [("Content-Type", "application/json"), ("Content-Type", "application/json")]
    response = await client.post("/guests", content=BODY, headers=headers)
    assert response.status_code == 415


async def test_no_body_is_no_body_of_the_wrong_kind(client: httpx.AsyncClient) -> None:
    assert (await client.post("/guests")).status_code == 422


async def test_an_operation_may_take_more_than_json(client: httpx.AsyncClient) -> None:
    for kind in ("application/json", MERGE_PATCH):
        response = await client.patch("/guests", content=BODY, headers={"Content-Type": kind})
        assert response.status_code == 200
    refused = await client.patch("/guests", content=BODY, headers={"Content-Type": "text/plain"})
    assert refused.headers["Accept"] == f"application/json, {MERGE_PATCH}"


async def test_an_operation_without_a_body_looks_at_none(client: httpx.AsyncClient) -> None:
    response = await client.post("/bell", content=BODY, headers={"Content-Type": "text/plain"})
    assert response.status_code == 200
