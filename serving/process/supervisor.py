"""The process that opens the port and, with several workers, starts and replaces them.

It imports nothing heavy: the application is imported by the processes that serve, after the
variable is set that prometheus-client looks for when it is imported.
"""

import contextlib
import logging
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from serving.process.settings import ProcessSettings
from serving.watch import logs
from serving.watch.multiprocess import FOLDER_VARIABLE
from serving.watch.settings import WatchSettings

BACKLOG = 2048
RESPAWN_SECONDS = 1.0

# What a process does with the listening socket until it is told to end.
type Work = Callable[[socket.socket], None]

logger = logging.getLogger(__name__)


def serve(settings: ProcessSettings, watch: WatchSettings, work: Work) -> None:
    """Have one or more processes work until SIGTERM or SIGINT, and return when all have ended."""
    logs.configure(watch)
    # As the first process of a container this one would ignore SIGTERM until uvicorn handles it.
    signal.signal(signal.SIGTERM, _leave)
    listener = listen(settings)
    host, port = listener.getsockname()[:2]
    logger.info("listening on http://%s:%d", host, port)
    if settings.workers == 1:
        work(listener)
    else:
        _supervise(settings.workers, listener, work)


def _leave(_: int, __: FrameType | None) -> None:
    raise SystemExit(0)


def listen(settings: ProcessSettings) -> socket.socket:
    """Open the port; a SystemExit says in one line why that is not possible."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except (OSError, UnicodeError, TypeError) as error:
        # A name that cannot be encoded is a TypeError.
        listener.close()
        raise SystemExit(
            f"cannot listen on {settings.host}:{settings.port}: {error}. "
            "Set HOST or PORT to another"
        ) from error
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def _work(work: Work, listener: socket.socket, mask: Iterable[int]) -> NoReturn:
    """What a forked worker does, under the signal mask that the supervisor had before."""
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        work(listener)
        code = 0
    except Exception:
        logger.exception("a worker failed")
    finally:
        os._exit(code)


def _supervise(workers: int, listener: socket.socket, work: Work) -> None:
    """Run several processes on one socket; replace one that dies; pass signals on."""
    children: dict[int, float] = {}
    ending = False

    def pass_on(sig: int, _: FrameType | None) -> None:
        nonlocal ending
        ending = True
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)

    def spawn() -> None:
        # A signal that came between the fork and what follows it would be lost: the parent does
        # not know the child yet, and the child would take itself for the parent.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        # One that came before has gone to the other children only.
        if not ending:
            pid = os.fork()
            if pid == 0:
                _work(work, listener, mask)
            children[pid] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    with tempfile.TemporaryDirectory(prefix="metrics-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        signal.signal(signal.SIGTERM, pass_on)
        signal.signal(signal.SIGINT, pass_on)
        for _ in range(workers):
            spawn()
        while children:
            pid, status = os.wait()
            born = children.pop(pid)
            for path in Path(folder).glob(f"gauge_live*_{pid}.db"):
                path.unlink()
            if ending:
                continue
            code = os.waitstatus_to_exitcode(status)
            logger.error("worker %d ended with %d; starting another", pid, code)
            if time.monotonic() - born < RESPAWN_SECONDS:
                time.sleep(RESPAWN_SECONDS)
            spawn()
