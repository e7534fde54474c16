"""The end of a program that was told to end: what it started ends first, and in order."""

import contextlib
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What a Bazel in mid-build, or a container engine with mounts, may take to end.
_PATIENCE_SECONDS = 60


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Has SIGINT, SIGTERM and SIGHUP end the program by way of what stands in `finally`.

    The exit code is then 128 and the signal's number. A second signal changes nothing, so that
    nothing is removed by halves. What is ignored, as SIGHUP is by nohup, stays ignored.
    In another thread than the main one, which no signal comes to, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: object) -> None:
        for one in _ENDING:
            signal.signal(one, signal.SIG_IGN)
        raise SystemExit(128 + number)

    heard = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, leave) for number in heard}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Has signals that end the program take effect afterwards.

    One that came while `Popen` starts a command would leave it running, unknown to anybody.
    """
    held: list[int] = []
    # What is ignored, as by nohup, or ends the program at once, the command has to inherit.
    handled = [number for number in _ENDING if callable(signal.getsignal(number))]
    previous = {
        number: signal.signal(number, lambda got, _frame: held.append(got)) for number in handled
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        # Also where the command could not be started.
        for first in held[:1]:
            signal.raise_signal(first)


def run(command: Sequence[str | Path], **options: Any) -> int:
    """Runs a command and returns its exit code; told to end, it has ended before this one does.

    `subprocess.run` would kill it, and what it has started itself would go on.

    Args:
        command: the program and its arguments.
        options: as for `subprocess.Popen`.

    Raises:
        OSError: it cannot be started.
    """
    process: subprocess.Popen[bytes] | None = None
    try:
        # A signal that came meanwhile takes effect in here.
        with held():
            process = subprocess.Popen(command, **options)
        return process.wait()
    except BaseException:
        if process is not None:
            end(process)
        raise


def end(process: subprocess.Popen[bytes]) -> None:
    """Tells a process to end, and has it killed where it takes too long."""
    process.terminate()
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
