"""The service lives within the limits that deploy/ recommends. The last test kills it."""

import signal
from collections.abc import Callable, Iterator

import httpx

from backend.tests.image.container.load import TODOS, Load, missing
from backend.tests.image.container.stack import Replica, Stack, log_lines
from tests.container.cgroups import Cgroups
from tests.container.limits import LIMITS, MIB
from tests.container.patience import patient

PYTHON = "/usr/bin/python3.13"
# Each child is smaller than the service: the kernel kills the largest process.
EAT = """
import os, time
for _ in range(14):
    if os.fork() == 0:
        eaten = b"x" * (16 << 20)
        time.sleep(20)
time.sleep(20)
"""


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
        # Where a request takes longer it takes no more memory.
        load.until(int(500 / patient(1)))
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
        json = {"Content-Type": "application/json"}
        declared = client.post(TODOS, content=b" " * (10 * MIB), headers=json)
        try:
            streamed: int | None = client.post(TODOS, content=endless(), headers=json).status_code
        except httpx.TransportError:
            # It answered and closed while the client was still sending.
            streamed = None

    assert declared.status_code == 413
    assert limits.kills(replica.container.name) == 0, "the streamed body ate the memory"
    replica.container.until(lambda: len(logged()) >= before + 2, "logging both requests", 20)
    # Whatever reached the client, both were refused for their size.
    assert logged()[before:] == [413, 413]
    assert streamed in {413, None}
    assert replica.health("live") == 200
    # It may take a probe to find out, where a processor of software was kept busy.
    replica.until_ready(2)


def test_a_service_killed_for_want_of_memory_starts_clean(
    stack: Stack, replica: Replica, limits: Cgroups
) -> None:
    """The last test of all that share the service."""
    with Load([replica]) as load:
        load.until(50)
        replica.container.execute(PYTHON, "-c", EAT)
        code = replica.container.wait(30)
    killed = limits.kills(replica.container.name)
    replica.container.remove()

    again = stack.replica()
    again.until_ready()

    assert code == 128 + signal.SIGKILL
    assert killed >= 1
    assert missing(load, again) == []
    again.container.remove()
