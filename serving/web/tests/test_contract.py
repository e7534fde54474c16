"""What operations declare for the OpenAPI document."""

from typing import Any

import pytest
from fastapi import FastAPI

from serving.web.catalogue import (
    HEADER_TOO_SLOW,
    INVALID_REQUEST,
    NOT_FOUND,
    OF_ALL,
    TYPES,
    UNAUTHORIZED,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemType,
    catalogue,
    page,
)
from serving.web.contract import HEADERS, complete, problems

SCHEMA = {"$ref": "#/components/schemas/ProblemDetails"}
TAKEN = ProblemType(slug="taken", status=409, meaning="It is taken.", remedy="Take another.")


def test_every_operation_declares_what_any_may_answer() -> None:
    assert set(problems()) == {one.status for one in (*OF_ALL, UNAUTHORIZED)}


def test_an_operation_without_a_key_has_no_401() -> None:
    assert 401 not in problems(keyed=False)


def test_statuses_are_sorted_and_refer_to_schema_and_examples() -> None:
    declared = problems(INVALID_REQUEST, NOT_FOUND)
    assert list(declared) == sorted(declared, key=int)
    assert declared[404]["content"]["application/problem+json"] == {
        "schema": SCHEMA,
        "examples": {"not-found": {"$ref": "#/components/examples/not-found"}},
    }


def test_a_status_with_several_types_tells_of_each() -> None:
    too_slow = ProblemType(slug="body-too-slow", status=408, meaning="Slow.", remedy="Hurry.")
    response = problems(too_slow)[408]
    assert response["description"] == f"Slow. {HEADER_TOO_SLOW.meaning}"
    assert list(response["content"]["application/problem+json"]["examples"]) == [
        "body-too-slow",
        "header-too-slow",
    ]


@pytest.mark.parametrize(
    ("type_", "field"),
    [
        (UNAUTHORIZED, "WWW-Authenticate"),
        (UNSUPPORTED_MEDIA_TYPE, "Accept"),
        (TAKEN, "Retry-After"),
    ],
)
def test_the_fields_that_come_with_a_status_are_declared(type_: ProblemType, field: str) -> None:
    headers = problems(type_)[type_.status]["headers"]
    assert headers == {field: {"$ref": f"#/components/headers/{field}"}}


def completed() -> dict[str, Any]:
    app = FastAPI()

    @app.get("/rooms/{number}", responses=problems(TAKEN))
    async def room(number: int) -> int:
        return number

    document = app.openapi()
    complete(document, catalogue([TAKEN]))
    return document


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(one) for one in node.values()))
    return set().union(*(references(one) for one in node)) if isinstance(node, list) else set()


def test_what_declarations_refer_to_is_there() -> None:
    document = completed()
    document["components"]["schemas"]["ProblemDetails"] = {}
    for reference in references(document):
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_the_frameworks_422_becomes_the_problem_that_is_answered() -> None:
    response = completed()["paths"]["/rooms/{number}"]["get"]["responses"]["422"]
    assert response["content"] == problems(INVALID_REQUEST)[422]["content"]


def test_every_response_has_the_requests_id() -> None:
    responses = completed()["paths"]["/rooms/{number}"]["get"]["responses"]
    assert responses["200"]["headers"] == {
        "X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}
    }
    assert all("X-Request-ID" in one["headers"] for one in responses.values())
    assert "X-Request-ID" in HEADERS


def test_a_catalogue_has_every_services_types_and_the_rooms_own_by_status() -> None:
    found = catalogue([TAKEN])
    assert set(found) == {*TYPES, TAKEN}
    assert [one.status for one in found] == sorted(one.status for one in found)


def test_two_types_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="taken: expected one type of problem of this name"):
        catalogue([TAKEN], [ProblemType(slug="taken", status=410, meaning="Gone.", remedy="No.")])


def test_the_page_has_a_row_for_each_type() -> None:
    assert "| `taken` | 409 | It is taken. | Take another. |" in page(catalogue([TAKEN]), "inn")
