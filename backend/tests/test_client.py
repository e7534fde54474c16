"""A client that a generator makes of the OpenAPI document works with the service, and is typed."""

import datetime as dt
import importlib
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from backend.tests.process import Running
from serving.web.security import new_key
from tools.dev.process import environment, python_command

DOCUMENT = Path(__file__).parents[1] / "openapi.json"
PACKAGE = "generated_todo_client"
TODOS = 110
PAGE = 25


class Generated:
    """The generated package; operations and models by their names in the document."""

    def __getitem__(self, name: str) -> ModuleType:
        return importlib.import_module(f"{PACKAGE}.{name}")

    def operation(self, name: str) -> ModuleType:
        """The module of an operation of the todos."""
        return self[f"api.todos.{name}"]

    def model(self, name: str) -> Any:
        """A schema's class."""
        return getattr(self["models"], name)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generated]:
    folder = tmp_path_factory.mktemp("generated")
    (folder / "config.yaml").write_text(
        # Its hooks would format what it makes.
        f"post_hooks: []\npackage_name_override: {PACKAGE}\n"
    )
    done = subprocess.run(
        [
            *(*python_command(), "-m", "openapi_python_client", "generate", "--meta=none"),
            *(f"--path={DOCUMENT}", f"--config={folder}/config.yaml", "--fail-on-warning"),
            f"--output-path={folder / PACKAGE}",
        ],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # What it cannot make something of, it leaves out with a warning.
    assert "arning" not in done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield Generated()
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def key() -> tuple[str, str]:
    return new_key("consumer")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, key: tuple[str, str]) -> Iterator[Running]:
    url = f"sqlite:///{tmp_path_factory.mktemp('service') / 'todos.db'}"
    with Running(DATABASE_URL=url, API_KEYS=key[1], AUTH_REQUIRED="true") as running:
        running.wait_ready()
        yield running


@pytest.fixture
def client(generated: Generated, server: Running, key: tuple[str, str]) -> Any:
    made = generated["client"].AuthenticatedClient
    return made(server.url, token=key[0], raise_on_unexpected_status=True)


def test_todos_are_created_and_all_of_them_found_page_by_page(
    generated: Generated, client: Any
) -> None:
    create, list_todos = generated.operation("create_todo"), generated.operation("list_todos")
    draft, state = generated.model("TodoDraft"), generated.model("State")
    due = dt.datetime(2030, 6, 1, 8, 30, tzinfo=dt.UTC)
    with client:
        made = [
            create.sync(client=client, body=draft(title=f"todo {number}", due=due, tags=["paged"]))
            for number in range(TODOS)
        ]
        found = []
        cursor: Any = generated["types"].UNSET
        while cursor is not None:
            page = list_todos.sync(client=client, limit=PAGE, cursor=cursor, state=[state.OPEN])
            found += page.items
            cursor = page.next_cursor
    assert {type(todo) for todo in made} == {generated.model("Todo")}
    assert made[0].due == due
    assert isinstance(made[0].id, uuid.UUID)
    # The newest first, each once.
    assert [todo.id for todo in found] == [todo.id for todo in reversed(made)]


def test_a_change_meets_a_conflict_and_is_told_of_it_by_type(
    generated: Generated, client: Any
) -> None:
    create, patch = generated.operation("create_todo"), generated.operation("patch_todo")
    draft, change = generated.model("TodoDraft"), generated.model("TodoPatch")
    with client:
        created = create.sync_detailed(client=client, body=draft(title="Water the plants"))
        etag, todo = created.headers["ETag"], created.parsed
        done = generated.model("State").DONE
        changed = patch.sync(todo.id, client=client, body=change(state=done), if_match=etag)
        late = patch.sync_detailed(
            todo.id, client=client, body=change(title="Water the garden"), if_match=etag
        )
    assert (changed.state, changed.title, changed.version) == (done, "Water the plants", 2)
    assert late.status_code == 412
    assert isinstance(late.parsed, generated.model("ProblemDetails"))
    assert late.parsed.type_ == "/problems/version-mismatch"


def test_a_creation_is_repeated_with_its_key_without_a_second_todo(
    generated: Generated, client: Any
) -> None:
    create, draft = generated.operation("create_todo"), generated.model("TodoDraft")
    with client:
        first, again = (
            create.sync_detailed(client=client, body=draft(title="once"), idempotency_key="k")
            for _ in range(2)
        )
    assert first.parsed.id == again.parsed.id
    assert again.headers["Idempotent-Replayed"] == "true"


def test_errors_are_typed_objects(generated: Generated, client: Any, server: Running) -> None:
    problem = generated.model("ProblemDetails")
    draft = generated.model("TodoDraft")
    with client:
        missing = generated.operation("read_todo").sync(uuid.uuid4(), client=client)
        wrong = generated.operation("create_todo").sync(client=client, body=draft(title=""))
    strangers = generated["client"].AuthenticatedClient(server.url, token="wrong")
    with strangers:
        refused = generated.operation("list_todos").sync(client=strangers)
    for one, status, slug in (
        (missing, 404, "not-found"),
        (wrong, 422, "invalid-request"),
        (refused, 401, "unauthorized"),
    ):
        assert isinstance(one, problem)
        assert (one.status, one.type_) == (status, f"/problems/{slug}")
    [fault] = wrong.errors
    assert isinstance(fault, generated.model("Fault"))
    assert fault.location == ["body", "title"]


def test_the_client_explains_a_problem_by_the_service_itself(
    generated: Generated, client: Any
) -> None:
    read = generated["api.problems.read_problem"]
    with client:
        explained = read.sync("version-mismatch", client=client)
    assert explained.status == 412
    assert explained.remedy
