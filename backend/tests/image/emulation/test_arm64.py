"""The image for arm64 is run: its own loader, interpreter, byte-code and extension modules."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.emulation.emulator import PYTHON, Machine, Service
from tests.oci import layout

# The machine that emulates may be busy with other tests.
READY_SECONDS = 240.0
ANSWER_SECONDS = 60.0
DATABASE = "sqlite:////tmp/todo.db"

# One interpreter for all questions about importing: both import much of the same, emulated.
IMPORTS = """
import importlib, importlib._bootstrap_external as external, json, pathlib, platform, sys

# The one way from source to code that importing has is shut. Who imports may handle an Exception.
def compiled(self, data, path, **_):
    raise SystemExit(f"{path} was compiled anew")
loader = external.SourceLoader
compile_source, loader.source_to_code = loader.source_to_code, compiled
before, error = set(sys.modules), ""
try:
    import backend.app, alembic.command
except BaseException as raised:
    error = repr(raised)
paths = {name: getattr(module, "__cached__", None) for name, module in sys.modules.items()}
cached = {name: path for name, path in paths.items() if name not in before and path}
loader.source_to_code = compile_source

failed, loaded = {}, []
for top in ("/usr/lib/python3.13/lib-dynload", "/usr/local/lib/python3.13/dist-packages"):
    for path in sorted(pathlib.Path(top).rglob("*.so")):
        name = str(path.relative_to(top)).replace("/", ".").partition(".cpython")[0]
        name = name.removesuffix(".abi3.so").removesuffix(".so")
        try:
            importlib.import_module(name)
            loaded.append(name)
        except Exception as raised:
            failed[name] = repr(raised)
print(json.dumps({
    "byte-code": {"error": error, "cached": cached},
    "extensions": {"machine": platform.machine(), "loaded": loaded, "failed": failed},
}))
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    image = layout.read(Path(os.environ["IMAGE"]), "linux/arm64")
    return Machine.of(image, tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def imported(machine: Machine) -> dict[str, Any]:
    """What an interpreter says of what it imports."""
    done = machine.run(PYTHON, "-c", IMPORTS)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_every_extension_module_loads(imported: dict[str, Any]) -> None:
    found = imported["extensions"]
    assert found["machine"] == "aarch64"
    assert found["failed"] == {}
    # That it looked in the right places.
    assert {"_ssl", "_sqlite3", "asyncpg.protocol.protocol", "uvloop.loop"} <= {*found["loaded"]}


def test_byte_code_that_was_compiled_on_another_cpu_is_taken_as_it_is(
    imported: dict[str, Any],
) -> None:
    found = imported["byte-code"]
    assert found["error"] == ""
    assert found["cached"]["backend.app"].startswith("/app/backend/")
    assert len(found["cached"]) > 300


def test_migrations_run(machine: Machine) -> None:
    done = machine.run(PYTHON, "-m", "backend", "migrate", environment={"DATABASE_URL": DATABASE})

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def service(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A ready service at `url`, which the last test ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {"DATABASE_URL": DATABASE, "HOST": "127.0.0.1", "PORT": str(port)}
    log = tmp_path_factory.mktemp("log") / "service"
    with Service(machine, [PYTHON, "-m", "backend"], environment, log) as running:
        running.until(lambda: ready(port), "ready", READY_SECONDS)
        yield running


def url(service: Service, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{service.environment['PORT']}"


def ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def test_it_creates_and_lists_todos_and_tells_of_them(service: Service) -> None:
    with (
        httpx.Client(base_url=url(service), timeout=ANSWER_SECONDS) as client,
        connect(f"{url(service, 'ws')}/ws/todos", open_timeout=ANSWER_SECONDS) as feed,
    ):
        hello = json.loads(feed.recv(timeout=ANSWER_SECONDS))
        created = client.post("/api/v1/todos", json={"title": "Emulated"})
        assert created.status_code == 201, created.text
        listed = client.get("/api/v1/todos").json()
        event = json.loads(feed.recv(timeout=ANSWER_SECONDS))

    assert hello["kind"] == "hello"
    assert "Emulated" in json.dumps(listed)
    assert (event["kind"], event["todo"]["title"]) == ("created", "Emulated")


def test_it_ends_with_0_after_sigterm(service: Service) -> None:
    service.process.send_signal(signal.SIGTERM)

    assert service.process.wait(ANSWER_SECONDS) == 0, service.log.read_text()
