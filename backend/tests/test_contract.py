"""The OpenAPI document: that it is the committed one, and that the service keeps to it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema_rs import validator_for
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from backend import migrate
from backend.app import create_app
from backend.tests.conftest import settings_for
from backend.tests.process import Running

DOCUMENT = Path(migrate.__file__).parent / "openapi.json"


def test_the_committed_document_is_the_real_one() -> None:
    real = create_app(settings_for("sqlite:///x")).openapi()
    assert json.loads(DOCUMENT.read_text()) == real, "run: python -m backend openapi"


def test_every_example_fits_its_schema() -> None:
    document = json.loads(DOCUMENT.read_text())
    schemas = document["components"]["schemas"]
    with_examples = {name: one for name, one in schemas.items() if "examples" in one}
    assert {"Todo", "TodoDraft", "TodoPatch", "TodoPage", "Suggestions"} <= set(with_examples)
    for name, schema in with_examples.items():
        check = validator_for({**schema, "components": document["components"]})
        for example in schema["examples"]:
            assert check.is_valid(example), (name, list(check.iter_errors(example)))


def test_every_operation_has_a_name_and_documents_its_problems() -> None:
    document = json.loads(DOCUMENT.read_text())
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["operationId"]
            for status, response in operation["responses"].items():
                if path.startswith("/api") and int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    path: Path = tmp_path_factory.mktemp("contract") / "todos.db"
    with Running(DATABASE_URL=f"sqlite:///{path}", LOG_LEVEL="info") as running:
        running.wait_ready()
        # Something to read, under the id that the examples name.
        httpx.post(f"{running.url}/api/v1/todos", json={"title": "x"})
        yield running


schema = schemathesis.openapi.from_dict(json.loads(DOCUMENT.read_text()))

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@schema.exclude(path_regex="^/(metrics|health)").parametrize()
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_the_contract(case: schemathesis.Case[Any], server: Running) -> None:
    response = case.call(base_url=server.url, timeout=10)
    # Without an AI service its routes answer 503, which is what the document says.
    excluded: list[Any] = [not_a_server_error] if response.status_code == 503 else []
    case.validate_response(response, checks=CHECKS, excluded_checks=excluded)
