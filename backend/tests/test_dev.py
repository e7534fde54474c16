"""`//:dev` as a person meets it: the todo service, a copy of the sources, Ctrl-C."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import backend
import serving
from tools.dev.tests.running import Dev, copy, edit, left, tree

__all__ = ["tree"]

pytestmark = pytest.mark.postgresql


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the real service, whose database the tests share."""
    place = tmp_path_factory.mktemp("real")
    copy(backend, place / "workspace")
    copy(serving, place / "workspace")
    return place


@pytest.fixture(scope="module")
def dev(real: Path) -> Iterator[Dev]:
    with Dev(real, "backend") as dev:
        dev.url()
        yield dev


def test_the_service_runs_with_its_database_and_an_ai_service(dev: Dev) -> None:
    with httpx.Client(base_url=dev.url(), trust_env=False, timeout=30) as client:
        assert client.post("/api/v1/todos", json={"title": "kept"}).status_code == 201
        parsed = client.post("/api/v1/todos/parse", json={"text": "x"})
        assert client.get("/docs").status_code == 200
        assert client.get(dev.until(r"metrics +(http\S+)")[1]).status_code == 200
    assert parsed.status_code == 200, parsed.text
    assert parsed.json()["title"]
    dev.until(r"^migrate  \| schema: empty -> \d+$")
    dev.until(r"^ai       \| POST /v1/chat/completions$")
    dev.until(r"^postgres \| .*database system is ready")
    assert re.findall(r"^postgres \| .*(?:ERROR|WARNING).*", dev.text, re.MULTILINE) == []
    assert "\x1b" not in dev.text


def test_byte_code_is_kept_and_lies_nowhere_beside_the_sources(dev: Dev, real: Path) -> None:
    dev.url()
    assert {path.name for path in (real / "cache").rglob("app.*.pyc")} == {"app.cpython-313.pyc"}
    assert list((real / "workspace").rglob("*.pyc")) == []


def test_a_second_one_for_the_same_checkout_is_refused(dev: Dev, real: Path) -> None:
    with Dev(real, "backend") as second:
        assert second.process.wait(60) == 1
        assert f"in use by another //:dev, process {dev.process.pid}." in second.text
    assert httpx.get(f"{dev.url()}/health/ready", trust_env=False).status_code == 200


def test_a_changed_source_is_served(dev: Dev, real: Path) -> None:
    app = real / "workspace/backend/app.py"
    edit(app, "Todos with optimistic concurrency", "Todos with a new description")
    dev.until(r"changed: backend/app\.py$")
    dev.until(r"ready again after")
    document = httpx.get(f"{dev.url()}/openapi.json", trust_env=False, timeout=30).json()
    assert "Todos with a new description" in document["info"]["description"]
    listed = httpx.get(f"{dev.url()}/api/v1/todos", trust_env=False, timeout=30).json()
    assert [todo["title"] for todo in listed["items"]] == ["kept"]


def test_a_syntax_error_is_named_and_the_old_service_stays(dev: Dev, real: Path) -> None:
    app = real / "workspace/serving/web/gate.py"
    before = app.read_text()
    already = dev.text.count("ready again")
    app.write_text("a = 1\nb = (\n")
    dev.until(r"serving/web/gate\.py:2: '\(' was never closed\n.*goes on as it is")
    assert httpx.get(f"{dev.url()}/health/ready", trust_env=False).status_code == 200
    app.write_text(before)
    dev.until(r"ready again", already + 1)


def test_a_service_that_does_not_start_is_waited_for(dev: Dev, real: Path) -> None:
    settings = real / "workspace/backend/settings.py"
    before = settings.read_text()
    already = dev.text.count("ready again")
    settings.write_text("import a_module_that_nobody_has\n" + before)
    dev.until(r"^service  \| ModuleNotFoundError: .*a_module_that_nobody_has")
    dev.until(r"the service ended with exit code 1; it starts again when a source changes")
    settings.write_text(before)
    dev.until(r"ready again", already + 1)


def test_ctrl_c_ends_all_of_it_and_the_data_stays(dev: Dev, real: Path) -> None:
    family = dev.family()
    # The program, its guardian, PostgreSQL with its processes, and the service.
    assert len(family) >= 8
    assert dev.end(signal.SIGINT) == 0
    assert left(family) == []
    dev.until(r"^postgres \| .*database system is shut down")
    with Dev(real, "backend") as again:
        listed = httpx.get(f"{again.url()}/api/v1/todos", trust_env=False, timeout=30).json()
        assert again.end(signal.SIGTERM) == 0
    assert [todo["title"] for todo in listed["items"]] == ["kept"]


def test_fresh_begins_anew(real: Path) -> None:
    with Dev(real, "backend", "--fresh") as dev:
        listed = httpx.get(f"{dev.url()}/api/v1/todos", trust_env=False, timeout=30).json()
        assert dev.end() == 0
    assert listed["items"] == []
    dev.until(r"removed the database in ")
