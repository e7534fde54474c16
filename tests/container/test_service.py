"""Any service's image answers as production runs it, with no more rights than it needs."""

import os
from pathlib import Path

import httpx
import pytest

from deploy import definition
from tests.container.cgroups import Cgroups
from tests.container.limits import LIMITS
from tests.container.runtime import Container

SERVICE = definition.read(Path(os.environ["SERVICE"]))
URL = f"http://127.0.0.1:{SERVICE['port']}"


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


def test_it_has_no_capabilities_and_cannot_get_any(service: Container) -> None:
    status = service.status()

    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"] == "1"


def test_its_system_calls_are_filtered(service: Container) -> None:
    # 2: SECCOMP_MODE_FILTER (proc_pid_status(5)).
    assert service.status()["Seccomp"] == "2"
