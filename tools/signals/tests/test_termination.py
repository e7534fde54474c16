"""A program that is told to end ends what it started, and is not hurried in doing so."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tools.signals.termination import held, terminable

# Its child needs a moment to end.
PROGRAM = """
import os, sys, tempfile
from pathlib import Path
from tools.signals.termination import run, terminable

CHILD = "trap 'echo >$0.ended; exit 3' TERM; echo >$0.begun; while :; do sleep 0.05; done"

@terminable()
def main():
    with tempfile.TemporaryDirectory(dir=sys.argv[1]):
        return run(["/bin/sh", "-c", CHILD, sys.argv[1] + "/child"], cwd=Path("/"), env=os.environ)

sys.exit(main())
"""


def test_a_second_signal_does_not_hurry_what_cleans_up() -> None:
    cleaned = False
    with pytest.raises(SystemExit) as ended, terminable():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)
            cleaned = True
    assert (ended.value.code, cleaned) == (128 + signal.SIGTERM, True)


def test_what_was_heard_before_is_heard_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with terminable(), held():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """As SIGHUP under nohup: the terminal may be closed."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminable(), held():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_that_is_held_comes_when_the_block_has_ended() -> None:
    reached = False
    with pytest.raises(SystemExit), terminable(), held():
        signal.raise_signal(signal.SIGTERM)
        reached = True
    assert reached


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_program_that_is_told_to_end_ends_its_child_and_says_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, tmp_path],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not (tmp_path / "child.begun").exists():
            assert process.poll() is None
        process.send_signal(number)
        said = process.communicate()[1]

    assert (process.returncode, said) == (128 + number, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["child.begun", "child.ended"]


def test_a_thread_leaves_signals_to_the_main_one() -> None:
    failures: list[ValueError] = []

    def inside() -> None:
        try:
            with terminable():
                pass
        except ValueError as error:
            failures.append(error)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()

    assert failures == []
