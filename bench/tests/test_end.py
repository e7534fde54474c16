"""A bench that is ended ends what it started, and leaves nothing behind."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.commands import BenchError, need, run
from bench.scratch import sweep
from tools.dev.process import environment, python_command
from tools.signals.termination import terminable

_PROGRAM = """
import pathlib, sys
from bench.commands import run
from bench.scratch import scratch
from tools.signals.termination import terminable
place = pathlib.Path(sys.argv[1])
with terminable(), scratch("try", place) as folder:
    (folder / "locked").mkdir()
    (folder / "locked/file").touch()
    (folder / "locked").chmod(0o500)
    run(["sh", "-c", 'trap "echo ended >$1/child; exit" TERM; touch "$1/up"; sleep 60 & wait', "sh",
         place])
"""
_SECONDS = 30


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_command_in_order_and_removes_the_folder(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = [*python_command(), "-c", _PROGRAM, str(tmp_path)]
    process = subprocess.Popen(command, env=environment())
    until((tmp_path / "up").exists)

    process.send_signal(number)

    assert process.wait(_SECONDS) == 128 + number
    assert (tmp_path / "child").read_text() == "ended\n"
    assert list(tmp_path.glob("try-*")) == []


def test_a_signal_while_a_command_is_being_started_ends_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def interrupted(*words: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*words, **options))
        signal.raise_signal(signal.SIGTERM)
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", interrupted)

    with terminable(), pytest.raises(SystemExit) as ended:
        run(["sleep", "60"])

    assert ended.value.code == 128 + signal.SIGTERM
    assert started[0].poll() == -signal.SIGTERM


def test_a_signal_while_a_command_cannot_be_started_ends_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(*_words: Any, **_options: Any) -> None:
        signal.raise_signal(signal.SIGTERM)
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "Popen", missing)

    with terminable(), pytest.raises(SystemExit) as ended:
        run(["sleep", "60"])

    assert ended.value.code == 128 + signal.SIGTERM


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = tmp_path / f"try-{ended.pid}-abc"
    running = tmp_path / "try-1-abc"
    others = tmp_path / "try-again-abc"
    for folder in (left, running, others):
        folder.mkdir()

    sweep("try", tmp_path)

    assert sorted(tmp_path.iterdir()) == [running, others]


def test_a_command_that_fails_is_told_with_its_last_lines() -> None:
    with pytest.raises(BenchError, match=r"sh -c .* ended with 3:\nwhy"):
        run(["sh", "-c", "echo why >&2; exit 3"])


def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(BenchError, match="no-such-program cannot be started"):
        run(["no-such-program"])


def test_all_missing_programs_are_named_with_their_packages_in_one_line() -> None:
    with pytest.raises(BenchError) as found:
        need({"sh": "dash", "no-such-b": "two", "no-such-a": "one", "no-such-c": "one"})

    assert str(found.value) == (
        "no-such-a, no-such-b, no-such-c missing. As root: "
        "apt-get install --no-install-recommends one two"
    )
