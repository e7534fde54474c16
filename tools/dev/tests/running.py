"""`//:dev` as a person meets it: the real program, whose log is read, and which gets Ctrl-C."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Self

import pytest

from tools.dev import process
from tools.dev.postgres import VARIABLE

SECONDS = 90


class Dev:
    """A run of the program. Use it as a context: at its end it is killed."""

    def __init__(
        self,
        place: Path,
        module: str,
        *arguments: str,
        database: bool = True,
        stdout: int | None = None,
        **variables: str,
    ) -> None:
        """Runs the module of `place`/workspace, with an AI service, and with a database or none."""
        definition = place / f"{module}.json"
        definition.write_text(
            json.dumps(
                {
                    "service": module, "module": module, "port": 8000,
                    "ready_path": "/health/ready", "metrics_path": "/metrics",
                }
            )
        )  # fmt: skip
        started = [f"--postgres={os.environ[VARIABLE]}"] if database else []
        self.log = place / f"log-{time.monotonic_ns()}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *process.python_command(), "-m", "tools.dev",
                    f"--service={definition}", "--ai", *started, *arguments,
                ],
                env=process.environment(
                    **{
                        "BUILD_WORKSPACE_DIRECTORY": str(place / "workspace"),
                        "XDG_CACHE_HOME": str(place / "cache"),
                        "PORT": "0",
                        **variables,
                    }
                ),
                stdin=subprocess.DEVNULL,
                stdout=stdout or log,
                stderr=subprocess.STDOUT,
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def until(self, pattern: str, times: int = 1) -> re.Match[str]:
        """Waits until it has written this so often; the last of them."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            found = list(re.finditer(pattern, self.text, re.MULTILINE))
            if len(found) >= times:
                return found[times - 1]
            if self.process.poll() is not None and times > len(found):
                break
            time.sleep(0.05)
        raise AssertionError(f"not {times} times {pattern!r}:\n{self.text}")

    def url(self) -> str:
        return self.until(r"  API +(http://127\.0\.0\.1:\d+)$")[1]

    def family(self) -> list[int]:
        """It and all that it started, and what that started."""
        parents = {}
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = entry.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.parent.name)] = int(fields[1])
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Sends a signal and waits; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def left(pids: list[int]) -> list[int]:
    """Which of them still run after a while."""
    deadline = time.monotonic() + 20
    while (running := [pid for pid in pids if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return running


def remaining(place: Path) -> list[int]:
    """Processes that have to do with a place."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(place) in words and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return left(found)


def copy(package: ModuleType, workspace: Path) -> None:
    """Copies a package's sources, but for tests, to where they are in a workspace."""
    assert package.__file__ is not None
    shutil.copytree(
        Path(package.__file__).parent,
        workspace / package.__name__.replace(".", "/"),
        ignore=shutil.ignore_patterns("__pycache__", "tests"),
    )


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text.replace(old, new))
    beside.rename(path)


@pytest.fixture(scope="module", autouse=True)
def tree() -> None:
    """PostgreSQL, by a path that holds wherever a program starts."""
    if VARIABLE not in os.environ:
        message = f"{VARIABLE} is unset: it names an unpacked Debian root with postgresql-17"
        if "TEST_SRCDIR" in os.environ:
            pytest.fail(message)
        pytest.skip(message)
    os.environ[VARIABLE] = str(Path(os.environ[VARIABLE]).absolute())
