"""What operations declare for the OpenAPI document."""

import pytest

from serving.web.contract import ALWAYS, problems

REFERENCE = {"$ref": "#/components/schemas/ProblemDetails"}


def test_every_operation_declares_what_any_may_answer() -> None:
    assert list(problems(about={})) == sorted(ALWAYS)


def test_a_413_brings_all_that_a_body_can_do_wrong() -> None:
    assert {400, 408, 413} <= set(problems(413, about={}))


def test_statuses_are_sorted_and_refer_to_the_schema_of_problems() -> None:
    declared = problems(422, 404, about={404: "There is none."})
    assert list(declared) == sorted(declared, key=int)
    for response in declared.values():
        assert response["content"] == {"application/problem+json": {"schema": REFERENCE}}


def test_a_service_says_what_a_status_means_to_it() -> None:
    declared = problems(404, about={404: "There is none.", 503: "The oracle sleeps."})
    assert declared[404]["description"] == "There is none."
    assert declared[503]["description"] == "The oracle sleeps."
    assert declared[401]["description"] == "An API key is missing or not valid."


def test_a_status_that_nobody_explains_is_an_error() -> None:
    with pytest.raises(KeyError):
        problems(418, about={})
