"""The OpenAPI document: that it is the committed one, and that the service keeps to it."""

import ast
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
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

import backend
import serving
from backend.app import create_app
from backend.identity import IDENTITY
from backend.tests.conftest import fresh_database, settings_for
from backend.tests.process import Running, run
from serving.web.catalogue import page
from tools.dev.ai import AiStub
from tools.dev.postgres import Postgres

DOCUMENT = Path(__file__).parents[1] / "openapi.json"
PROBLEMS = Path(__file__).parents[2] / "docs/problems.md"
METRICS = Path(__file__).parents[2] / "docs/metrics.md"


def test_the_committed_document_is_the_real_one() -> None:
    real = create_app(settings_for("sqlite:///x")).openapi()
    assert json.loads(DOCUMENT.read_text()) == real, (
        "run: tools/bazel run //backend -- openapi > backend/openapi.json"
    )


def test_the_committed_page_of_problems_is_the_real_one() -> None:
    remedy = "run: tools/bazel run //backend -- problems > docs/problems.md"
    types = create_app(settings_for("sqlite:///x")).problem_types
    assert PROBLEMS.read_text() == page(types, IDENTITY.module), remedy


def test_the_committed_page_of_metrics_is_the_real_one() -> None:
    remedy = "run: tools/bazel run //backend -- metrics > docs/metrics.md"
    assert METRICS.read_text() == run("metrics").stdout, remedy


def raised() -> Iterator[tuple[str, int]]:
    """The slug and status of each problem that the sources make."""
    for package in (serving, backend):
        folder = Path(package.__path__[0])
        for file in folder.rglob("*.py"):
            if "tests" in file.relative_to(folder).parts:
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                name = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
                words = [one.value for one in node.args if isinstance(one, ast.Constant)]
                match name, words:
                    case "Problem" | "Refusal", [int(status), str(slug), *_]:
                        yield slug, status
                    case "unavailable", [str(slug), *_]:
                        yield slug, 503
                    case "_failure" | "AiFailure", [str(outcome), int(status), *_]:
                        yield f"ai-{outcome}", status


def test_every_problem_that_is_answered_is_declared_and_no_other() -> None:
    types = create_app(settings_for("sqlite:///x")).problem_types
    # What the framework raises has the phrase of its status as slug.
    framework = {("not-found", 404), ("method-not-allowed", 405)}
    assert {(one.slug, one.status) for one in types} == {*raised(), *framework}


def test_every_tag_is_described_and_every_operation_has_one() -> None:
    document = json.loads(DOCUMENT.read_text())
    described = {one["name"]: one["description"] for one in document["tags"]}
    for operations in document["paths"].values():
        for operation in operations.values():
            assert all(described[tag] for tag in operation["tags"])
            assert operation["tags"]


def test_metrics_are_declared_as_text() -> None:
    responses = json.loads(DOCUMENT.read_text())["paths"]["/metrics"]["get"]["responses"]
    assert list(responses["200"]["content"]) == ["text/plain"]


def test_a_patch_declares_what_it_is_and_no_default() -> None:
    document = json.loads(DOCUMENT.read_text())
    body = document["paths"]["/api/v1/todos/{todo_id}"]["patch"]["requestBody"]
    assert set(body["content"]) == {"application/json", "application/merge-patch+json"}
    patch = document["components"]["schemas"]["TodoPatch"]
    assert not [name for name, one in patch["properties"].items() if "default" in one]


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


# Without parameters, schemathesis gives its tests no names of their own.
@pytest.fixture(scope="module", params=["both"])
def servers(
    postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory, ai_url: str
) -> Iterator[dict[str, Running]]:
    """The service on each database, by the database's name."""
    with ExitStack() as stack:
        urls = {
            "sqlite": f"sqlite:///{tmp_path_factory.mktemp('contract') / 'todos.db'}",
            "postgresql": stack.enter_context(fresh_database(postgres_server)),
        }
        running = {
            name: stack.enter_context(
                Running(DATABASE_URL=url, LOG_LEVEL="info", AI_BASE_URL=ai_url)
            )
            for name, url in urls.items()
        }
        for one in running.values():
            one.wait_ready()
        yield running


@pytest.fixture(scope="module")
def ai_url() -> Iterator[str]:
    """An AI service that answers what it is asked, beside the test."""
    with AiStub() as stub:
        yield stub.url


schema = schemathesis.openapi.from_dict(json.loads(DOCUMENT.read_text()))
UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def path_parameters(given: dict[str, Any], server: Running) -> dict[str, Any]:
    """Makes every other request for a todo one for a todo that there is."""
    wanted = given.get("todo_id")
    if isinstance(wanted, str) and wanted[-1:] in "02468ace" and UUID_TEXT.fullmatch(wanted):
        todo = httpx.post(f"{server.url}/api/v1/todos", json={"title": "x"}).raise_for_status()
        return {**given, "todo_id": todo.json()["id"]}
    return given


@pytest.mark.postgresql
@schema.exclude(path_regex="^/(metrics|health)").parametrize()
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_the_contract(
    case: schemathesis.Case[Any], servers: dict[str, Running]
) -> None:
    # Each case goes to both: to think of one takes longer than to ask.
    given = dict(case.path_parameters or {})
    for name, server in servers.items():
        case.path_parameters = path_parameters(given, server)
        try:
            response = case.call(base_url=server.url, timeout=10)
            case.validate_response(response, checks=CHECKS)
        except BaseException as error:
            error.add_note(f"on {name}")
            raise
