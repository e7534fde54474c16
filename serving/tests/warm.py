"""Warm starts: a process that has imported the wheels forks one for each service that is started.

A service is loaded anew by each of them, from its `__main__` on, with the variables and arguments
that it is given, as `python -m` loads it. What is spared is the import of the wheels: nine tenths
of a second of processor time, of which there are some hundred in a run of all tests. It is no use
where the start of the interpreter is what is tested, or what is given to it: that start is cold.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import resource
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tools.dev import process

# What a service imports before it serves. Not prometheus_client, which looks at the environment
# when it is imported.
WHEELS = (
    "aiosqlite",
    "alembic.command",
    "alembic.config",
    "alembic.runtime.environment",
    "asyncpg",
    "circuitbreaker",
    "fastapi.middleware",
    "fastapi.openapi.utils",
    "fastapi.responses",
    "httptools",
    "httpx",
    "opentelemetry.trace",
    "pydantic.v1",
    "pydantic_settings",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "sqlalchemy.ext.asyncio",
    "uvicorn",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
    "websockets.server",
)
_MESSAGE_BYTES = 200_000


class Forked:
    """A process that was forked off, with those of `subprocess.Popen`'s methods that are called.

    Attributes:
        pid: its number.
        returncode: `None` while it runs; as `Popen` has it.
    """

    def __init__(self, pid: int, handle: int, status: int) -> None:
        """`handle` is a pidfd, and `status` tells the exit code when it has one; both are ours."""
        self.pid = pid
        self.returncode: int | None = None
        self._handle = handle
        self._status = status

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended; raises `subprocess.TimeoutExpired`."""
        code = self._ended(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return code

    def send_signal(self, sig: int) -> None:
        """Sends it a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, sig)

    def kill(self) -> None:
        """Sends it SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            told = os.read(self._status, 100)
            os.close(self._status)
            os.close(self._handle)
            assert told, "who forks processes has ended"
            self.returncode = int(told)
        return self.returncode


def start(
    module: str,
    *arguments: str,
    environment: dict[str, str],
    stdout: IO[bytes],
    stderr: IO[bytes],
) -> Forked:
    """Starts `python -m MODULE ARGUMENTS`."""
    wanted = {
        "module": module,
        "arguments": arguments,
        "environment": environment,
        "folder": str(Path.cwd()),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    }
    files = [stdout.fileno(), stderr.fileno()]
    with _one_at_a_time:
        connection = _connection()
        socket.send_fds(connection, [json.dumps(wanted).encode()], files)
        pid, descriptors, _, _ = socket.recv_fds(connection, _MESSAGE_BYTES, 2)
    assert pid, "who forks processes has ended"
    return Forked(int(pid), *descriptors)


def run(module: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs `python -m MODULE ARGUMENTS` to its end, as `process.run` does."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        running = start(
            module, *arguments, environment=process.environment(**variables), stdout=out, stderr=err
        )
        try:
            code = running.wait(process.RUN_SECONDS)
        finally:
            running.kill()
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess([module, *arguments], code, *said)


_server: list[socket.socket] = []
_one_at_a_time = threading.Lock()


def _connection() -> socket.socket:
    """To the process that forks; it is started by whoever asks first, and ends with us."""
    if not _server:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            server = subprocess.Popen(
                [*process.python_command(), "-m", __name__, str(its.fileno()), *WHEELS],
                env=process.environment(),
                stdin=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
            )
        _server.append(ours)
        atexit.register(server.wait)
        atexit.register(ours.close)
    return _server[0]


def serve(connection: socket.socket) -> str | None:
    """Forks whenever it is asked to.

    Returns:
        In a process that was forked off, the module that it is to run; elsewhere `None`, when there
        is nobody any more who could ask.
    """
    children: dict[int, tuple[int, int]] = {}
    selector = selectors.DefaultSelector()
    selector.register(connection, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is not connection:
                selector.unregister(key.fd)
                pid, status = children.pop(key.fd)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                # Who started it may not want to know.
                with contextlib.suppress(BrokenPipeError):
                    os.write(status, str(code).encode())
                os.close(status)
                os.close(key.fd)
                continue
            message, descriptors, _, _ = socket.recv_fds(connection, _MESSAGE_BYTES, 2)
            if not message:
                return None
            told, status = os.pipe()
            pid = os.fork()
            if pid == 0:
                for number, descriptor in enumerate(descriptors, start=1):
                    os.dup2(descriptor, number)
                selector.close()
                connection.close()
                ours = [fd for handle, (_, pipe) in children.items() for fd in (handle, pipe)]
                for descriptor in (*descriptors, told, status, *ours):
                    os.close(descriptor)
                return _become(**json.loads(message))
            handle = os.pidfd_open(pid)
            socket.send_fds(connection, [str(pid).encode()], [handle, told])
            for descriptor in (*descriptors, told):
                os.close(descriptor)
            children[handle] = pid, status
            selector.register(handle, selectors.EVENT_READ)


def _become(
    module: str,
    arguments: Sequence[str],
    environment: dict[str, str],
    folder: str,
    files: tuple[int, int],
) -> str:
    """Takes on what a new interpreter would have been given."""
    # What the interpreter added to its own when it started: PEP 538.
    coerced = {name: os.environ[name] for name in ("LC_CTYPE",) if name in os.environ}
    os.environ.clear()
    os.environ.update(coerced | environment)
    time.tzset()
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_NOFILE, files)
    sys.argv[1:] = arguments
    sys.path[0] = folder
    gc.enable()
    return module


if __name__ == "__main__":
    for _name in sys.argv[2:]:
        importlib.import_module(_name)
    # Nobody looks through it for garbage, in no process: its pages stay shared.
    gc.disable()
    gc.freeze()
    _module = serve(socket.socket(fileno=int(sys.argv[1])))
    if _module is not None:
        runpy.run_module(_module, run_name="__main__", alter_sys=True)
