"""Where a container's limits go: control groups of version 1 or 2 (cgroups(7))."""

import contextlib
import os
import re
import secrets
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.container.needs import NeedError

ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS = ("cpu", "memory", "pids")
_FAMILY = "container-tests"
# Given up by processes that are killed a moment earlier.
_REMOVAL_SECONDS = 5.0


@dataclass(frozen=True)
class Limits:
    """What a container may use: bytes of memory (swap included), CPUs, processes and threads."""

    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None


class Cgroups:
    """The groups of one test; `path` is what an OCI runtime calls cgroupsPath, less the name.

    Use it as a context: at its end no group of it is left.
    """

    def __init__(self, owner: int, root: Path = ROOT) -> None:
        """`owner` is the process id by which `sweep` tells whether the test still runs."""
        self.version = version(root)
        self.path = f"/{_FAMILY}-{owner}-{secrets.token_hex(4)}"
        self._root = root

    def __enter__(self) -> Self:
        self._check()
        return self

    def __exit__(self, *_: object) -> None:
        for folder in self._hierarchies():
            remove(folder / self.path.lstrip("/"))

    def _hierarchies(self) -> list[Path]:
        if self.version == 2:
            return [self._root]
        # "cpu" is often a link to "cpu,cpuacct".
        return sorted({entry.resolve() for entry in self._root.iterdir() if entry.is_dir()})

    def _check(self) -> None:
        if self.version == 2:
            available = (self._root / "cgroup.controllers").read_text().split()
            missing = [name for name in _CONTROLLERS if name not in available]
            folders = [self._root]
        else:
            missing = [name for name in _CONTROLLERS if not (self._root / name).is_dir()]
            folders = [self._root / name for name in _CONTROLLERS]
        if missing:
            raise NeedError(
                f"limits cannot be tested: {self._root} has no controller {', '.join(missing)}. "
                "Mount them, or run where the kernel offers them to this container"
            )
        for folder in folders:
            made = folder / self.path.lstrip("/")
            try:
                made.mkdir(exist_ok=True)
            except OSError as error:
                raise NeedError(
                    f"limits cannot be tested: {made} cannot be made: {error.strerror}. Run as "
                    "root with /sys/fs/cgroup writable, or in a group of your own: "
                    "systemd-run --user --scope -p Delegate=yes tools/bazel test ..."
                ) from error

    def read(self, name: str, controller: str, file: str) -> str:
        """A file of a container's group; `controller` names the hierarchy of version 1."""
        below = self._root if self.version == 2 else self._root / controller
        return (below / self.path.lstrip("/") / name / file).read_text()

    def memory_limit(self, name: str) -> int:
        """A container's limit of memory, in bytes."""
        file = "memory.max" if self.version == 2 else "memory.limit_in_bytes"
        return int(self.read(name, "memory", file))

    def memory_used(self, name: str) -> int:
        """What a container uses now, in bytes, page cache included."""
        file = "memory.current" if self.version == 2 else "memory.usage_in_bytes"
        return int(self.read(name, "memory", file))

    def pids_limit(self, name: str) -> int:
        """How many processes and threads a container may have."""
        return int(self.read(name, "pids", "pids.max"))

    def cpus(self, name: str) -> float:
        """How many CPUs' time a container may use."""
        if self.version == 2:
            quota, period = self.read(name, "cpu", "cpu.max").split()
        else:
            quota = self.read(name, "cpu", "cpu.cfs_quota_us")
            period = self.read(name, "cpu", "cpu.cfs_period_us")
        return int(quota) / int(period)

    def throttled(self, name: str) -> int:
        """In how many periods a container was kept from more CPU time than its quota."""
        found = re.search(r"^nr_throttled (\d+)$", self.read(name, "cpu", "cpu.stat"), re.MULTILINE)
        return int(found[1]) if found else 0

    def kills(self, name: str) -> int:
        """How many of a container's processes the kernel has killed for want of memory."""
        file = "memory.events" if self.version == 2 else "memory.oom_control"
        found = re.search(r"^oom_kill (\d+)$", self.read(name, "memory", file), re.MULTILINE)
        return int(found[1]) if found else 0


def version(root: Path = ROOT) -> int:
    """1 or 2; the hybrid that systemd sets up has its controllers in version 1."""
    return 2 if (root / "cgroup.controllers").exists() else 1


def sweep(root: Path = ROOT, processes: Path = Path("/proc")) -> None:
    """Removes groups whose test has ended without doing so, as after a SIGKILL."""
    folders = (
        [root] if version(root) == 2 else [entry for entry in root.iterdir() if entry.is_dir()]
    )
    for folder in folders:
        for group in folder.glob(f"{_FAMILY}-*"):
            owner = group.name.removeprefix(f"{_FAMILY}-").partition("-")[0]
            if not (processes / owner).exists():
                with contextlib.suppress(OSError):
                    remove(group)


def remove(group: Path) -> None:
    """Removes a group and those below it, killing what still runs there; raises `OSError`."""
    if not group.is_dir():
        return
    deadline = time.monotonic() + _REMOVAL_SECONDS
    for folder in _deepest_first(group):
        while True:
            try:
                folder.rmdir()
                break
            except FileNotFoundError:
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                _kill(folder)
                time.sleep(0.02)


def _deepest_first(group: Path) -> Iterator[Path]:
    for folder, _, _ in os.walk(group, topdown=False):
        yield Path(folder)


def _kill(group: Path) -> None:
    for line in (group / "cgroup.procs").read_text().split():
        # 0 is a process that this PID namespace does not see.
        if int(line) > 1:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(line), signal.SIGKILL)
