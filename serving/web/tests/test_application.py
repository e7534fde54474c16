"""An application without a database: routes, their errors, and the document."""

from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends

from serving.identity import Identity
from serving.tests.service import PATH, client_of
from serving.watch.health import Health
from serving.watch.settings import WatchSettings
from serving.web.application import Application
from serving.web.operations import operations_routes
from serving.web.problems import Problem
from serving.web.settings import WebSettings

IDENTITY = Identity(name="inn-keeper", title="Inn", module="inn", version="4.5.6")


class RoomTakenError(Exception):
    """An error of a room below."""


def application(**options: Any) -> Application:
    app = Application(
        IDENTITY,
        web=WebSettings(**options),
        watch=WatchSettings(log_level="warning", revision="abc"),
        description="Rooms.",
        example="no room has this number",
    )
    router = APIRouter(dependencies=[Depends(app.api_key)])

    @router.get("/rooms/{number}")
    async def read(number: int) -> int:
        if number == 13:
            raise RoomTakenError
        if number == 99:
            raise RuntimeError("hunter2")
        return number

    app.add_routes(
        [router, operations_routes(Health(app.lifecycle), app.registry, app.api_key)],
        {RoomTakenError: lambda _: Problem(409, "taken", "the room is taken")},
    )
    return app


async def test_a_service_without_a_database_is_live_and_ready() -> None:
    async with client_of(application()) as client:
        for path in ("live", "ready", "startup"):
            assert (await client.get(f"/health/{path}")).json()["status"] == "ok"
        assert (await client.get("/rooms/1")).text == "1"
        metrics = (await client.get("/metrics")).text
    assert 'build_info{revision="abc",version="4.5.6"} 1.0' in metrics


def test_a_route_that_would_never_ask_for_a_key_is_refused() -> None:
    app = Application(IDENTITY, web=WebSettings(), watch=WatchSettings(), description="Rooms.")
    router = APIRouter()

    @router.get("/rooms/{number}")
    async def read(number: int) -> int:
        return number

    with pytest.raises(ValueError, match=r"^/rooms/{number}: expected routes that ask for an API"):
        app.add_routes([router])
    app.add_routes([router], public=["/rooms/{number}"])


def test_a_route_may_ask_for_the_key_itself() -> None:
    app = Application(IDENTITY, web=WebSettings(), watch=WatchSettings(), description="Rooms.")
    router = APIRouter()

    @router.get("/by-parameter")
    async def by_parameter(_: Annotated[None, Depends(app.api_key)]) -> int:
        return 1

    @router.get("/by-route", dependencies=[Depends(app.api_key)])
    async def by_route() -> int:
        return 1

    app.add_routes([router])


async def test_errors_of_the_rooms_below_become_the_problems_they_are_translated_to() -> None:
    async with client_of(application()) as client:
        response = await client.get("/rooms/13")
    assert response.status_code == 409
    assert response.json()["type"] == "/problems/taken"


async def test_a_defect_is_a_500_that_tells_nothing() -> None:
    async with client_of(application()) as client:
        response = await client.get("/rooms/99")
    assert (response.status_code, "hunter2" in response.text) == (500, False)


def test_the_document_has_problems_in_place_of_the_frameworks_errors() -> None:
    document = application().openapi()
    schemas = document["components"]["schemas"]
    assert {"HTTPValidationError", "ValidationError"} & set(schemas) == set()
    example = schemas["ProblemDetails"]["examples"][0]
    assert example["type"] == "/problems/not-found"
    assert example["detail"] == "no room has this number"
    assert (document["info"]["title"], document["info"]["version"]) == ("Inn", "4.5.6")


def test_the_document_is_made_once() -> None:
    app = application()
    assert app.openapi() is app.openapi()


def test_the_scheme_of_keys_names_the_command_that_makes_one() -> None:
    scheme = application().openapi()["components"]["securitySchemes"]["bearerKey"]
    assert scheme["scheme"] == "bearer"
    assert "`new-key`" in scheme["description"]


def test_every_tag_of_an_operation_is_described() -> None:
    document = application().openapi()
    described = {one["name"] for one in document["tags"] if one["description"]}
    operations = [one for path in document["paths"].values() for one in path.values()]
    assert {tag for one in operations for tag in one.get("tags", [])} <= described


async def test_the_type_of_a_problem_leads_to_its_explanation() -> None:
    async with client_of(application()) as client:
        problem = (await client.get("/nowhere")).json()
        explanation = (await client.get(problem["type"])).json()
        assert explanation["type"] == problem["type"] == "/problems/not-found"
        assert (explanation["status"], explanation["title"]) == (404, "Not Found")
        assert explanation["meaning"].endswith(".")
        listed = (await client.get("/problems")).json()["items"]
        assert explanation in listed
        assert (await client.get("/problems/none")).status_code == 404


@pytest.mark.parametrize(("enabled", "status"), [(True, 200), (False, 404)])
async def test_docs_and_document_are_there_if_they_are_wanted(enabled: bool, status: int) -> None:
    async with client_of(application(docs_enabled=enabled)) as client:
        answers = [await client.get(path) for path in ("/docs", "/openapi.json")]
    assert [one.status_code for one in answers] == [status, status]


async def test_every_response_has_security_headers(plain: httpx.AsyncClient) -> None:
    for path in ("/health/live", "/nowhere", PATH, "/docs"):
        headers = (await plain.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "server" not in headers


async def test_a_header_of_a_route_comes_before_the_gates(plain: httpx.AsyncClient) -> None:
    response = await plain.get("/docs")
    assert response.headers.get_list("Cache-Control") == ["public, max-age=3600"]
