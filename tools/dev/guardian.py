"""Ends the processes that this one started when it is gone, however it went."""

import contextlib
import os
import select
import signal
from collections.abc import Callable
from pathlib import Path

_PATIENCE_SECONDS = 10.0
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Guardian:
    """A process of its own, which waits for the end of a pipe that only its maker holds.

    Make it before threads, locks and children: it keeps what is open when it is made.
    """

    def __init__(self, patience: float = _PATIENCE_SECONDS) -> None:
        """`patience` is the time in seconds that processes have before they are killed."""
        reading, self._writing = os.pipe()
        # One that comes before the new process ignores it waits until then.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _IGNORED)
        try:
            self._pid = os.fork()
            if self._pid == 0:
                try:
                    os.close(self._writing)
                    _detach()
                    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                    _guard(reading, patience)
                finally:
                    os._exit(0)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(reading)

    def enlist(self, number: signal.Signals) -> Callable[[], None]:
        """What a child calls between fork and exec, to be sent a signal when nobody else does it.

        The child has to lead a process group, which is killed when it does not obey.
        """

        def tell() -> None:
            os.write(self._writing, f"{os.getpid()} {int(number)}\n".encode())

        return tell

    def close(self) -> None:
        """Ends it, with what is left of the processes."""
        os.close(self._writing)
        os.waitpid(self._pid, 0)


def _detach() -> None:
    os.setsid()
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    # Whoever reads the log waits for its end.
    with Path(os.devnull).open("r+b", buffering=0) as null:
        for descriptor in range(3):
            os.dup2(null.fileno(), descriptor)


def _guard(reading: int, patience: float) -> None:
    # A descriptor means its process for ever; a number may come to mean another one.
    guarded: dict[int, tuple[int, int]] = {}
    with os.fdopen(reading) as lines:
        for line in lines:
            pid, number = map(int, line.split())
            for ended in select.select(list(guarded), [], [], 0)[0]:
                del guarded[ended]
                os.close(ended)
            with contextlib.suppress(ProcessLookupError):
                guarded[os.pidfd_open(pid)] = (pid, number)
    for descriptor, (_, number) in guarded.items():
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)
    for descriptor, (pid, _) in guarded.items():
        if not select.select([descriptor], [], [], patience)[0]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
