"""The command `doctor`: what a service needs, looked at from where it runs, a line for each thing.

It is for the person on call, in an image without a shell. What a room needs stands in that room;
here is what every process needs.
"""

import asyncio
import os
import resource
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

type Verdict = Literal["ok", "warning", "failed"]
type Examination = Callable[[], Awaitable[Sequence[Finding]]]

# One examination takes no longer, whatever hangs.
SECONDS = 15.0
# sysexits.h: EX_UNAVAILABLE.
EX_UNAVAILABLE = 69
CGROUPS = Path("/sys/fs/cgroup")
# Below that the service may be killed under load: see the limits in docs/deployment.md.
_ENOUGH_MEMORY = 192 * 2**20
# Of a group of version 1 without a limit; version 2 says "max".
_NO_LIMIT = 2**60


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found of one thing.

    Attributes:
        subject: the thing.
        verdict: `failed` is what keeps the service from working.
        text: what was found and, unless it is well, what to do.
    """

    subject: str
    verdict: Verdict
    text: str

    def __str__(self) -> str:
        return f"{self.verdict:<8}{self.subject}: {self.text}"


async def examine(
    examinations: Sequence[tuple[str, Examination]], seconds: float = SECONDS
) -> Sequence[Finding]:
    """All findings, in the order of the examinations, each of which has its own time.

    Args:
        examinations: each with the subject that is told of when it fails.
        seconds: that each may take.
    """
    findings: list[Finding] = []
    for subject, look in examinations:
        try:
            async with asyncio.timeout(seconds):
                findings += await look()
        except TimeoutError:
            text = f"no answer within {seconds:g} s"
            findings.append(Finding(subject=subject, verdict="failed", text=text))
        except Exception as error:  # noqa: BLE001  (whatever it is, the others are looked at too)
            # Its text may quote what is secret.
            text = f"the examination broke off with {type(error).__name__}"
            findings.append(Finding(subject=subject, verdict="failed", text=text))
    return findings


def run(examinations: Sequence[tuple[str, Examination]]) -> int:
    """Look, print, and return the exit code: 69 where something failed."""
    findings = asyncio.run(examine(examinations))
    for finding in findings:
        print(finding)
    return EX_UNAVAILABLE if any(one.verdict == "failed" for one in findings) else 0


def process(max_connections: int) -> tuple[str, Examination]:
    """The examination of the process itself.

    Args:
        max_connections: that it will hold open.
    """

    async def look() -> Sequence[Finding]:
        return [temporary_folder(), open_files(max_connections), *limits()]

    return "process", look


def temporary_folder() -> Finding:
    """Whether there is a folder that can be written."""
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"x")
            file.flush()
            # By descriptor: deploy/seccomp.json allows no look at file systems by their path.
            space = os.fstatvfs(file.fileno())
        folder = tempfile.gettempdir()
    except OSError as error:
        text = f"{error.strerror or 'none can be written'}; mount one, as an emptyDir or a tmpfs"
        return Finding(subject="temporary folder", verdict="failed", text=text)
    free = space.f_bavail * space.f_frsize // 2**20
    text = f"{folder}, writable, {free} MiB free"
    return Finding(subject="temporary folder", verdict="ok" if free else "warning", text=text)


def open_files(max_connections: int) -> Finding:
    """Whether as many files may be open as connections."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft > max_connections:
        return Finding(subject="open files", verdict="ok", text=f"at most {soft}")
    text = f"at most {soft}, for MAX_CONNECTIONS={max_connections}: raise one or lower the other"
    return Finding(subject="open files", verdict="warning", text=text)


def limits(root: Path = CGROUPS) -> Sequence[Finding]:
    """The limits of the control group (cgroups(7)), as far as they are to be seen from inside."""
    memory = _number(root / "memory.max", root / "memory/memory.limit_in_bytes")
    processes = _number(root / "pids.max", root / "pids/pids.max")
    findings = []
    if memory is None:
        text = "no limit to be seen"
        findings.append(Finding(subject="memory", verdict="ok", text=text))
    else:
        enough = memory >= _ENOUGH_MEMORY
        text = f"limit {memory // 2**20} MiB" + ("" if enough else "; 256 MiB are recommended")
        verdict: Verdict = "ok" if enough else "warning"
        findings.append(Finding(subject="memory", verdict=verdict, text=text))
    text = "no limit to be seen" if processes is None else f"limit {processes}"
    findings.append(Finding(subject="processes", verdict="ok", text=text))
    text = _processors(root)
    findings.append(Finding(subject="processors", verdict="ok", text=text))
    return findings


def _processors(root: Path) -> str:
    number = len(os.sched_getaffinity(0))
    try:
        quota, _, period = (root / "cpu.max").read_text().partition(" ")
    except OSError:
        quota = "max"
    if quota == "max":
        return f"{number}, no limit to be seen"
    return f"{number}, limit {int(quota) / int(period):g}"


def _number(*files: Path) -> int | None:
    for file in files:
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < _NO_LIMIT:
            return int(text)
    return None
