"""Limits are those of control groups of version 2 (Documentation/admin-guide/cgroup-v2.rst)."""

from pathlib import Path

from tests.container.bundle import SecurityContext
from tests.container.cgroups import ROOT, Cgroups
from tests.container.limits import LIMITS, MIB
from tests.container.runtime import Runtime, Unpacked


def test_the_limits_are_in_the_files_of_version_2(
    runtime: Runtime, image: Unpacked, context: SecurityContext, limits: Cgroups
) -> None:
    container = runtime.start(image, context, name="service", limits=LIMITS)
    try:
        group = ROOT / limits.path.lstrip("/") / container.name
        files = ("memory.max", "memory.swap.max", "pids.max", "cpu.max")
        found = {name: (group / name).read_text().strip() for name in files}
        own = Path(f"/proc/{container.pid}/cgroup").read_text()
    finally:
        container.remove()

    assert found == {
        "memory.max": str(256 * MIB),
        "memory.swap.max": "0",
        "pids.max": "64",
        "cpu.max": "100000 100000",
    }
    # One hierarchy, number 0 (cgroups(7)): nothing is left to version 1.
    assert own == f"0::{limits.path}/{container.name}\n"
