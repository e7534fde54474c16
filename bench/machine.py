"""The machine that figures were taken on, as tables name it, and its processor time."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def describe(load_before: float) -> dict[str, Any]:
    """This machine, and its load before (as os.getloadavg gave it) and after a run."""
    processor = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "kernel": os.uname().release.partition("-")[0],
        "load": [round(load_before, 1), round(os.getloadavg()[0], 1)],
        "processor": processor,
    }


def shown(machine: Mapping[str, Any]) -> str:
    """A machine, in a few words."""
    load = " to ".join(f"{one:.1f}" for one in machine["load"])
    return (
        f"{machine['cpus']} CPUs ({machine['processor']}), Linux {machine['kernel']}, load {load}"
    )


def processor_seconds(pid: int) -> float:
    """Of a process, of all below it, and of those that they have waited for (proc(5), `stat`)."""
    return _ticks(pid) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    found = 0
    # The time of a process that ends meanwhile is in its parent's.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        found += sum(map(int, fields[11:15]))
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            found += sum(_ticks(int(child)) for child in task.read_text().split())
    return found
