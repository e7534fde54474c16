"""What a process started does not outlive it."""

import os
import signal
import subprocess
import time
from pathlib import Path

from tools.dev import process

STARTER = """
import os, signal, subprocess, sys
from tools.dev import guardian
if sys.argv[4] == "early":
    detach = guardian._detach
    def interrupted():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
        detach()
    guardian._detach = interrupted
guardian = guardian.Guardian(patience=float(sys.argv[3]))
child = subprocess.Popen(
    [sys.argv[1], "-c", sys.argv[2]], start_new_session=True,
    preexec_fn=guardian.enlist(signal.SIGTERM), stdout=subprocess.PIPE, text=True,
)
child.stdout.readline()
print(child.pid, guardian._pid, flush=True)
sys.stdin.read()
guardian.close()
"""
OBEYS = "trap 'echo ended > \"$0\"; exit' TERM; echo; while :; do sleep 0.05; done"
HANGS = "trap '' TERM; echo; while :; do sleep 0.05; done"


def start(
    script: str, file: Path, patience: float = 30, *, early: bool = False
) -> tuple[subprocess.Popen[str], list[int]]:
    """A process with a guardian and a child; `early` ones get signals before they are ready."""
    starter = subprocess.Popen(
        [
            *process.python_command(), "-c", STARTER,
            "/bin/sh", script.replace("$0", str(file)), str(patience),
            "early" if early else "",
        ],
        env=process.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert starter.stdout is not None
    return starter, [int(pid) for pid in starter.stdout.readline().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def all_end(pids: list[int]) -> bool:
    deadline = time.monotonic() + 20
    while any(map(alive, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def finish(starter: subprocess.Popen[str]) -> None:
    starter.wait(10)
    assert starter.stdin is not None
    assert starter.stdout is not None
    starter.stdin.close()
    starter.stdout.close()


def test_a_killed_one_takes_its_children_along_in_order(tmp_path: Path) -> None:
    starter, pids = start(OBEYS, tmp_path / "said")
    starter.kill()
    assert all_end(pids)
    assert (tmp_path / "said").read_text() == "ended\n"
    finish(starter)


def test_a_child_that_does_not_obey_is_killed(tmp_path: Path) -> None:
    starter, pids = start(HANGS, tmp_path / "said", 0.5)
    starter.kill()
    assert all_end(pids)
    finish(starter)


def test_the_guardian_survives_the_terminals_signals(tmp_path: Path) -> None:
    starter, pids = start(OBEYS, tmp_path / "said")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pids[1], number)
    starter.kill()
    assert all_end(pids)
    finish(starter)


def test_the_guardian_survives_signals_that_come_before_it_is_ready(tmp_path: Path) -> None:
    starter, pids = start(OBEYS, tmp_path / "said", early=True)
    starter.kill()
    assert all_end(pids)
    assert (tmp_path / "said").read_text() == "ended\n"
    finish(starter)


def test_it_ends_what_is_left_when_it_is_closed(tmp_path: Path) -> None:
    starter, pids = start(OBEYS, tmp_path / "said")
    assert starter.stdin is not None
    starter.stdin.close()
    assert all_end(pids)
    finish(starter)
