"""Errors of every origin become problem documents (RFC 9457)."""

import httpx
import pytest
from starlette.exceptions import HTTPException

from serving.tests.service import PATH
from serving.web.problems import MEDIA_TYPE, Problem, Problems, from_http_exception, unavailable


async def test_errors_of_the_framework_are_problems_too(plain: httpx.AsyncClient) -> None:
    missing = await plain.get("/nowhere")
    method = await plain.delete(PATH)
    syntax = await plain.post(PATH, content="{", headers={"Content-Type": "application/json"})
    statuses = [one.status_code for one in (missing, method, syntax)]
    assert statuses == [404, 405, 422]
    for response in (missing, method, syntax):
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json()["status"] == response.status_code
    assert "POST" in method.headers["Allow"]


async def test_a_fault_is_told_by_its_place_and_the_input_is_not_echoed(
    plain: httpx.AsyncClient,
) -> None:
    response = await plain.post(PATH, json={"hunter2": "hunter3"})
    errors = response.json()["errors"]
    assert {tuple(one["location"]) for one in errors} == {("body", "text"), ("body", "hunter2")}
    assert "hunter3" not in response.text


def test_half_a_character_that_a_client_sent_is_escaped() -> None:
    """A lone surrogate has no UTF-8: whatever quotes it must be answered all the same."""
    response = Problems().respond(Problem(422, "unknown", "no parameter is called \ud800"))
    assert bytes(response.body).endswith(b'"detail":"no parameter is called \\ud800"}')


def test_a_problem_is_a_document_with_its_type_and_headers() -> None:
    problem = Problem(412, "stale", "it has changed", headers={"ETag": "3"})
    response = Problems().respond(problem)
    assert response.media_type == MEDIA_TYPE
    assert response.headers["ETag"] == "3"
    assert response.body == (
        b'{"type":"/problems/stale","title":"Precondition Failed","status":412,'
        b'"detail":"it has changed"}'
    )


def test_a_framework_error_gets_its_phrase_as_slug() -> None:
    problem = from_http_exception(HTTPException(405, headers={"Allow": "GET"}))
    assert (problem.slug, problem.headers) == ("method-not-allowed", {"Allow": "GET"})


@pytest.mark.parametrize(("seconds", "told"), [(0.1, "1"), (1, "1"), (2.6, "3")])
def test_unavailable_says_when_to_come_back(seconds: float, told: str) -> None:
    problem = unavailable("full", "no room", seconds)
    assert (problem.status_code, problem.headers) == (503, {"Retry-After": told})
