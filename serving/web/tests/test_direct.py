"""Endpoints that are called past FastAPI: what is ordinary, and what stays FastAPI's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import PlainTextResponse, Response

from serving.identity import Identity
from serving.tests.service import client_of
from serving.watch.settings import WatchSettings
from serving.web.application import Application
from serving.web.direct import direct
from serving.web.security import new_key
from serving.web.settings import WebSettings

KEY, ENTRY = new_key("web")
LONGEST = 10


def arguments(request: Request) -> tuple[int, str] | None:
    number, note = request.path_params["number"], request.headers.get("note", "")
    return (int(number), f"direct {note}") if number.isdecimal() and len(note) <= LONGEST else None


@asynccontextmanager
async def rooms(key: str = KEY) -> AsyncIterator[httpx.AsyncClient]:
    identity = Identity(name="inn-keeper", title="Inn", module="inn", version="4.5.6")
    web = WebSettings(auth_required=True, api_keys=(ENTRY,))
    watch = WatchSettings(log_level="warning")
    app = Application(identity, web=web, watch=watch, description="Rooms.")
    router = APIRouter(dependencies=[Depends(app.api_key)], route_class=app.api_key.route_class)

    @router.get("/rooms/{number}")
    @direct(arguments)
    async def read(
        number: int, note: Annotated[str, Header(max_length=LONGEST)] = "none"
    ) -> Response:
        return PlainTextResponse(f"{number!r} {note}")

    app.add_routes([router])
    async with client_of(app) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client


async def test_an_ordinary_request_is_not_read_by_the_framework() -> None:
    async with rooms() as client:
        assert (await client.get("/rooms/7", headers={"note": "x"})).text == "7 direct x"


async def test_any_other_request_is_read_and_judged_by_the_framework() -> None:
    async with rooms() as client:
        assert (await client.get("/rooms/+7")).text == "7 none"
        for path, header in (("/rooms/x", ""), ("/rooms/7", "y" * 11)):
            answer = await client.get(path, headers={"note": header})
            assert answer.status_code == 422
            assert answer.json()["type"].endswith("invalid-request")


async def test_the_key_is_checked_all_the_same() -> None:
    async with rooms("wrong") as client:
        assert (await client.get("/rooms/7")).status_code == 401


async def test_the_document_has_what_the_route_declares() -> None:
    async with rooms() as client:
        operation = (await client.get("/openapi.json")).json()["paths"]["/rooms/{number}"]["get"]
    assert [one["name"] for one in operation["parameters"]] == ["number", "note"]
    assert operation["security"] == [{"bearerKey": []}]
