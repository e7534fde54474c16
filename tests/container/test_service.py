"""The image runs as a production system runs it: confined, on a read-only root file system."""

import json
import signal
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.container.bundle import SecurityContext
from tests.container.runtime import Container, Runtime, Unpacked
from tests.container.stack import LIMITS

URL = "http://127.0.0.1:8000"
READY_SECONDS = 30.0
STOP_SECONDS = 5.0

# Tries to make a file in every folder that the service can reach.
WRITE_EVERYWHERE = """
import json, os
written = []
for folder, folders, _ in os.walk("/"):
    if folder == "/":
        folders[:] = [name for name in folders if name not in ("proc", "sys")]
    try:
        with open(os.path.join(folder, f"written-by-{os.getuid()}"), "w"):
            written.append(folder)
    except OSError:
        pass
print(json.dumps(written))
"""


def ready() -> bool:
    try:
        return httpx.get(f"{URL}/health/ready", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def service(
    runtime: Runtime,
    image: Unpacked,
    context: SecurityContext,
    record_testsuite_property: Callable[[str, object], None],
) -> Iterator[Container]:
    """A ready service. Tests leave it as it is; the last one ends it."""
    began = time.monotonic()
    container = runtime.start(image, context, name="backend", limits=LIMITS)
    container.until(ready, "ready", READY_SECONDS)
    record_testsuite_property("seconds_to_ready", f"{time.monotonic() - began:.2f}")
    yield container
    container.remove()


def test_the_image_serves_todos(service: Container) -> None:
    draft = {"title": "Water the plants"}
    created = httpx.post(f"{URL}/api/v1/todos", json=draft)
    assert created.status_code == 201, created.text

    read = httpx.get(f"{URL}{created.headers['location']}")

    assert read.status_code == 200, read.text
    assert read.json()["title"] == "Water the plants"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        # Memory, all of it.
        ("", {"/tmp", "/dev/shm", "/dev/mqueue"}),
        # Root owns the files, and so only the mount refuses; /dev is the runtime's.
        ("0:0", {"/tmp", "/dev/shm", "/dev/mqueue", "/dev"}),
    ],
)
def test_the_root_file_system_refuses_writes(
    service: Container, context: SecurityContext, user: str, expected: set[str]
) -> None:
    if context.apparmor:
        # The profile lets nobody look into /dev.
        expected = {"/tmp"}
    done = service.execute("/usr/bin/python3.13", "-c", WRITE_EVERYWHERE, user=user)

    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == expected


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash", "/usr/bin/sh", "/busybox/sh", "sh"])
def test_there_is_no_shell(service: Container, shell: str) -> None:
    done = service.execute(shell, "-c", "true")

    assert done.returncode != 0
    assert "no such file" in done.stderr or "not found" in done.stderr, done.stderr


def test_it_has_no_capabilities_and_cannot_get_any(service: Container) -> None:
    status = service.status()

    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"] == "1"


def test_its_system_calls_are_filtered(service: Container) -> None:
    # 2: SECCOMP_MODE_FILTER (proc_pid_status(5)).
    assert service.status()["Seccomp"] == "2"


def test_it_ends_cleanly_on_sigterm(service: Container) -> None:
    """The last test of this module: it ends the service that the others share."""
    service.signal(signal.SIGTERM)

    assert service.wait(STOP_SECONDS) == 0, service.log
