"""Limits are enforced: of memory, of processes, and of CPU time."""

import signal
from collections.abc import Callable, Iterator

import pytest

from tests.container.bundle import SecurityContext
from tests.container.cgroups import Cgroups, Limits
from tests.container.limits import MIB
from tests.container.runtime import Container, Runtime, Unpacked

PYTHON = "/usr/bin/python3.13"
FORK = """
import os, time
for n in range(20):
    try:
        pid = os.fork()
    except BlockingIOError:
        print(n)
        break
    if pid == 0:
        time.sleep(60)
"""
SPIN = """
import time
began, spent = time.monotonic(), time.process_time()
while time.monotonic() - began < 2:
    pass
print((time.process_time() - spent) / (time.monotonic() - began))
"""


@pytest.fixture
def python(
    runtime: Runtime, image: Unpacked, context: SecurityContext, limits: Cgroups
) -> Iterator[Callable[[str, Limits], Container]]:
    made: list[Container] = []

    def start(code: str, allowed: Limits) -> Container:
        made.append(runtime.start(image, context, entrypoint=[PYTHON, "-c", code], limits=allowed))
        return made[-1]

    yield start
    for container in made:
        container.remove()


def test_memory_beyond_the_limit_ends_the_process(
    python: Callable[[str, Limits], Container], limits: Cgroups
) -> None:
    container = python("b = bytearray(200 << 20)", Limits(memory=64 * MIB))

    assert container.wait(20) == 128 + signal.SIGKILL
    assert limits.kills(container.name) >= 1


def test_processes_beyond_the_limit_are_refused(
    python: Callable[[str, Limits], Container],
) -> None:
    # runc has threads of its own, which count until it becomes the container's program.
    container = python(FORK, Limits(pids=16))

    container.wait(20)

    assert container.stdout == "15\n"


def test_time_beyond_the_quota_is_not_given(
    python: Callable[[str, Limits], Container], limits: Cgroups
) -> None:
    container = python(SPIN, Limits(cpus=0.1))

    container.wait(20)

    assert 0 < float(container.stdout) < 0.2
    # On a busy machine nobody gets more than that: it has to be the quota that kept it.
    assert limits.throttled(container.name) >= 1
