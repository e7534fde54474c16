"""The harness itself, with real containers."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container import namespaces
from tests.container.bundle import Mount, SecurityContext
from tests.container.cgroups import Cgroups, Limits
from tests.container.namespaces import Identity
from tests.container.runtime import Container, ContainerError, Runtime, Unpacked

PYTHON = "/usr/bin/python3.13"

UNSHARE = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.unshare(0x10000000), ctypes.get_errno())
"""
CONNECT = """
import socket
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname())
"""


class Python:
    """Runs a few lines of Python in a container."""

    def __init__(self, runtime: Runtime, image: Unpacked, context: SecurityContext) -> None:
        self._runtime = runtime
        self._image = image
        self._context = context
        self._made: list[Container] = []

    def start(self, code: str, context: SecurityContext | None = None, **more: object) -> Container:
        made = self._runtime.start(
            self._image,
            context or self._context,
            entrypoint=[PYTHON, "-c", code],
            **more,  # type: ignore[arg-type]
        )
        self._made.append(made)
        return made

    def remove(self) -> None:
        for made in self._made:
            made.remove()


@pytest.fixture
def python(runtime: Runtime, image: Unpacked, context: SecurityContext) -> Iterator[Python]:
    made = Python(runtime, image, context)
    yield made
    made.remove()


def test_the_exit_code_is_the_programs(python: Python) -> None:
    assert python.start("raise SystemExit(7)").wait(10) == 7


def test_a_signals_exit_code_is_the_shells(python: Python) -> None:
    container = python.start("import time; time.sleep(60)")

    container.signal(signal.SIGKILL)

    assert container.wait(10) == 128 + signal.SIGKILL


def test_output_is_kept_apart(python: Python) -> None:
    container = python.start("import sys; print('out'); print('err', file=sys.stderr)")

    container.wait(10)

    assert (container.stdout, container.stderr) == ("out\n", "err\n")


def test_a_container_that_runs_on_is_an_error_with_its_log(python: Python) -> None:
    container = python.start("import time; print('begun', flush=True); time.sleep(60)")
    container.until(lambda: container.stdout, "begun", 10)

    with pytest.raises(ContainerError, match=r"still runs after 0\.1 s(\n.*)*begun"):
        container.wait(0.1)


def test_waiting_for_what_never_comes_ends_with_the_container(python: Python) -> None:
    container = python.start("raise SystemExit('reason')")

    with pytest.raises(ContainerError, match=r"ended with 1 before ready(\n.*)*reason"):
        container.until(lambda: False, "ready", 60)


def test_a_program_that_is_not_there_is_an_error(
    runtime: Runtime, image: Unpacked, context: SecurityContext
) -> None:
    with pytest.raises(ContainerError, match=r"runc create .*/no/such"):
        runtime.start(image, context, entrypoint=["/no/such"])


def test_mounted_files_are_seen(python: Python, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    secret.chmod(0o644)

    container = python.start("print(open('/tmp/s').read())", mounts=[Mount(secret, "/tmp/s")])

    assert container.wait(10) == 0, container.log
    assert container.stdout == "hidden\n"


def test_variables_are_set(python: Python) -> None:
    container = python.start("import os; print(os.environ['X'])", environment={"X": "y"})

    container.wait(10)

    assert container.stdout == "y\n"


def test_a_forbidden_call_is_refused(python: Python) -> None:
    container = python.start(UNSHARE)

    assert container.wait(10) == 0, container.log
    assert container.stdout == "-1 1\n"


def test_a_container_sees_no_process_of_the_machine(python: Python) -> None:
    container = python.start(
        "import os; print(sorted(n for n in os.listdir('/proc') if n.isdigit()))"
    )

    container.wait(10)

    assert container.stdout == "['1']\n"


def test_the_machines_network_is_out_of_reach(python: Python) -> None:
    container = python.start("import socket; print([n for _, n in socket.if_nameindex()])")

    container.wait(10)

    assert "'lo'" in container.stdout
    assert "'eth0'" not in container.stdout


def test_loopback_is_up(python: Python) -> None:
    container = python.start(CONNECT)

    assert container.wait(10) == 0, container.log


def test_nothing_is_left_of_a_removed_container(
    python: Python, cgroups: Cgroups | None, identity: Identity
) -> None:
    # runc has threads of its own, which count until it becomes the container's program.
    container = python.start("import time; time.sleep(60)", limits=Limits(pids=16))
    pid = container.pid

    container.remove()

    assert not Path(f"/proc/{pid}").exists()
    if cgroups is not None:
        with pytest.raises(FileNotFoundError):
            cgroups.pids_limit(container.name)


def test_namespaces_take_down_what_is_left_running() -> None:
    reading, writing = os.pipe()

    def leave_a_process_behind(_: Identity) -> int:
        process = subprocess.Popen(["sleep", "300"], start_new_session=True)
        os.write(writing, f"{process.pid}".encode())
        return 5

    before = {path.name for path in Path("/proc").glob("[0-9]*")}
    pid = os.fork()
    if pid == 0:
        os._exit(namespaces.inside(leave_a_process_behind))
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 5
    assert os.read(reading, 20)
    assert {path.name for path in Path("/proc").glob("[0-9]*")} <= before


def test_namespaces_pass_on_sigterm() -> None:
    def wait(_: Identity) -> int:
        os.write(writing, b"x")
        signal.pause()
        return 0

    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os._exit(namespaces.inside(wait))
    os.read(reading, 1)

    os.kill(pid, signal.SIGTERM)

    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGTERM


def test_a_sigterm_during_the_fork_is_passed_on_afterwards() -> None:
    def wait(_: Identity) -> int:
        signal.pause()
        return 0

    fork = os.fork

    def interrupted() -> int:
        child = fork()
        if child:
            os.kill(os.getpid(), signal.SIGTERM)
        return child

    pid = fork()
    if pid == 0:
        os.fork = interrupted
        os._exit(namespaces.inside(wait))

    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGTERM
