"""The end of a program that was told to end: what it started ends first, and in order."""

import contextlib
import signal
from collections.abc import Iterator

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Has SIGINT, SIGTERM and SIGHUP end the program by way of what stands in `finally`.

    The exit code is then 128 and the signal's number. A second signal changes nothing, so that
    nothing is removed by halves. What is ignored, as SIGHUP is by nohup, stays ignored.
    """

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
