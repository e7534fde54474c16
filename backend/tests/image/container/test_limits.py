"""Limits are enforced, and the service lives within those that deploy/ recommends."""

import signal
from collections.abc import Callable, Iterator

import httpx
import pytest

from backend.tests.image.container.load import TODOS, Load, missing
from backend.tests.image.container.stack import Replica, Stack, log_lines
from tests.container.bundle import SecurityContext
from tests.container.cgroups import Cgroups, Limits
from tests.container.limits import LIMITS, MIB
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
# Each child is smaller than the service: the kernel kills the largest process.
EAT = """
import os, time
for _ in range(14):
    if os.fork() == 0:
        eaten = b"x" * (16 << 20)
        time.sleep(20)
time.sleep(20)
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
    container = python(FORK, Limits(pids=5))

    container.wait(20)

    assert container.stdout == "4\n"


def test_time_beyond_the_quota_is_not_given(
    python: Callable[[str, Limits], Container], limits: Cgroups
) -> None:
    container = python(SPIN, Limits(cpus=0.1))

    container.wait(20)

    assert 0 < float(container.stdout) < 0.2
    # On a busy machine nobody gets more than that: it has to be the quota that kept it.
    assert limits.throttled(container.name) >= 1


@pytest.fixture(scope="module")
def replica(stack: Stack, limits: Cgroups) -> Iterator[Replica]:
    done = stack.run("migrate")
    assert done.exit_code == 0, done.log
    made = stack.replica(patient=True)
    made.until_ready()
    yield made
    made.container.remove()


def test_the_services_limits_are_in_force(replica: Replica, limits: Cgroups) -> None:
    name = replica.container.name

    assert limits.memory_limit(name) == LIMITS.memory
    assert limits.pids_limit(name) == LIMITS.pids
    assert limits.cpus(name) == LIMITS.cpus


def test_the_service_lives_well_within_its_limits(
    replica: Replica, limits: Cgroups, record_testsuite_property: Callable[[str, object], None]
) -> None:
    name = replica.container.name
    idle = limits.memory_used(name)
    with Load([replica], clients=8) as load:
        load.until(500)
    busy = limits.memory_used(name)
    threads = int(replica.container.status()["Threads"])
    record_testsuite_property("idle_memory_mib", idle // MIB)
    record_testsuite_property("busy_memory_mib", busy // MIB)
    record_testsuite_property("threads", threads)

    assert load.wrong == []
    assert set(load.statuses) == {200, 201}, load.statuses
    assert LIMITS.memory is not None
    assert LIMITS.pids is not None
    assert busy < LIMITS.memory * 0.8
    assert threads < LIMITS.pids * 0.8


def test_a_request_that_would_eat_memory_is_refused(replica: Replica, limits: Cgroups) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b" " * MIB

    def logged() -> list[object]:
        """The statuses of what was posted, as the service tells them."""
        lines = log_lines(replica.container)
        return [line["status"] for line in lines if line.get("method") == "POST"]

    before = len(logged())
    with replica.client() as client:
        declared = client.post(TODOS, content=b" " * (10 * MIB))
        try:
            streamed: int | None = client.post(TODOS, content=endless()).status_code
        except httpx.TransportError:
            # It answered and closed while the client was still sending.
            streamed = None

    assert declared.status_code == 413
    assert limits.kills(replica.container.name) == 0, "the streamed body ate the memory"
    replica.container.until(lambda: len(logged()) >= before + 2, "logging both requests", 20)
    # Whatever reached the client, both were refused for their size.
    assert logged()[before:] == [413, 413]
    assert streamed in {413, None}
    assert replica.health() == 200


def test_a_service_killed_for_want_of_memory_starts_clean(stack: Stack, limits: Cgroups) -> None:
    first = stack.replica(patient=True)
    first.until_ready()
    with Load([first]) as load:
        load.until(50)
        first.container.execute(PYTHON, "-c", EAT)
        code = first.container.wait(30)
    killed = limits.kills(first.container.name)
    first.container.remove()

    again = stack.replica()
    again.until_ready()

    assert code == 128 + signal.SIGKILL
    assert killed >= 1
    assert missing(load, again) == []
    again.container.remove()
