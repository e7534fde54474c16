"""Any service's image runs as a production system runs it: confined, on a read-only root."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from deploy import definition
from tests.container import probe
from tests.container.bundle import SecurityContext
from tests.container.cgroups import Cgroups
from tests.container.limits import LIMITS
from tests.container.runtime import Container, Runtime, Unpacked

SERVICE = definition.read(Path(os.environ["SERVICE"]))
URL = f"http://127.0.0.1:{SERVICE['port']}"
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
    return probe.status(f"{URL}{SERVICE['ready_path']}") == 200


@pytest.fixture(scope="module")
def service(
    runtime: Runtime,
    image: Unpacked,
    context: SecurityContext,
    record_testsuite_property: Callable[[str, object], None],
) -> Iterator[Container]:
    """A ready service. Tests leave it as it is; the last one ends it."""
    began = time.monotonic()
    container = runtime.start(image, context, name=SERVICE["container"], limits=LIMITS)
    container.until(ready, "ready", READY_SECONDS)
    record_testsuite_property("seconds_to_ready", f"{time.monotonic() - began:.2f}")
    yield container
    container.remove()


@pytest.mark.parametrize("key", ["startup_path", "ready_path", "live_path", "metrics_path"])
def test_its_probes_and_metrics_answer(service: Container, key: str) -> None:
    answer = httpx.get(f"{URL}{SERVICE[key]}")

    assert answer.status_code == 200, answer.text


def test_it_runs_within_its_limits(service: Container, cgroups: Cgroups | None) -> None:
    assert len(service.processes()) <= (LIMITS.pids or 0)
    # An ordinary user has no control groups; tests of limits say so.
    if cgroups is not None:
        assert LIMITS.memory is not None
        assert cgroups.memory_limit(service.name) == LIMITS.memory
        assert cgroups.memory_used(service.name) < LIMITS.memory * 0.8


def test_a_path_that_is_too_long_is_refused(service: Container) -> None:
    assert httpx.get(f"{URL}/{'x' * 20_000}").status_code in {400, 414, 431}


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
