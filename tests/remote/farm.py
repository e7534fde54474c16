"""A build farm on the loopback interface: BuildGrid on PostgreSQL, and workers of buildbox.

A worker has a root folder of its own (//tests/remote:worker): an action sees that, the inputs it
declares, and nothing of this machine but its kernel and network.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tools.dev.guardian import Guardian
from tools.dev.postgres import Postgres, free_port
from tools.dev.process import environment, python_command

# What the workers say of themselves (the lexicon of the Remote Execution API's platform.md).
PROPERTIES = {"ISA": "x86-64", "OSFamily": "linux"}

# On a busy machine a Python program with forty wheels takes its time to start.
_SECONDS = 180.0
_STOP_SECONDS = 10.0
# After this, a worker that is gone is taken to be gone, and its jobs are given to others.
_SESSION_SECONDS = 10
_THREADS = 400
_ATTEMPTS = 3
_LINES = 15
_JOINED = b"Bot Session created"
_LOADER = "usr/lib64/ld-linux-x86-64.so.2"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_MODULE = "from buildgrid.server.app import cli; cli()"

_SETTINGS = """\
server:
  - !channel
    address: 127.0.0.1:{port}
    insecure-mode: true
connections:
  - !sql-connection &sql
    connection-string: {database}
storages:
  - !disk-storage &storage
    path: {storage}
caches:
  - !lru-action-cache &actions
    storage: *storage
    max-cached-refs: 100000
    allow-updates: true
    cache-failed-actions: false
schedulers:
  - !sql-scheduler &scheduler
    sql: *sql
    storage: *storage
    action-cache: *actions
    bot-session-keepalive-timeout: {session}
    assigners:
      - !priority-age-assigner
        count: 1
        interval: 0.1
instances:
  - name: ""
    services:
      - !action-cache
        cache: *actions
      - !execution
        scheduler: *scheduler
      - !cas
        storage: *storage
      - !bytestream
        storage: *storage
# Bazel sends many small files at once; whoever finds no thread is sent away, and has to come again.
thread-pool-size: {threads}
"""


class FarmError(Exception):
    """A part of the farm does not do what it should; the text says which, and ends with its log."""


@dataclass
class Program:
    """A process with a log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def failed(self, what: str) -> FarmError:
        """The error that says what it should have done, with the end of the log."""
        code = self.process.poll()
        state = "still runs" if code is None else f"ended with {code}"
        lines = self.log.read_text(errors="replace").splitlines()[-_LINES:]
        return FarmError(f"{self.name} {what}; it {state}:\n" + "\n".join(lines))

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Returns when a condition holds; raises `FarmError` when it does not in time."""
        deadline = time.monotonic() + _SECONDS
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise self.failed(what)
            time.sleep(0.1)

    def end(self, how: signal.Signals) -> None:
        """Sends a signal and waits for the end, which is forced where it does not come."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Worker:
    """A worker and its cache of files, in namespaces of their own that end with them."""

    folder: Path
    programs: list[Program] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        """Whether it runs an action just now."""
        return any("buildbox-run" in name for name in _descendants(self.programs[-1].process.pid))

    def kill(self) -> None:
        """Ends it as a machine ends whose plug is pulled: nobody is told."""
        for program in reversed(self.programs):
            program.end(signal.SIGKILL)


class Farm:
    """Scheduler, storage, action cache and workers; all of it is ended at the end of the block."""

    def __init__(self, folder: Path, *, postgres: Path, worker: Path) -> None:
        """Takes a folder for files, and the unpacked roots of PostgreSQL and of a worker."""
        self._folder = folder
        self._roots = (postgres, worker)
        self._guardian = Guardian()
        self._postgres: Postgres | None = None
        self._server: Program | None = None
        self.workers: list[Worker] = []
        self.storage = folder / "storage"
        self.port = 0

    @property
    def address(self) -> str:
        """What Bazel's options call it."""
        return f"grpc://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        """Starts everything but workers; raises `FarmError` or `PostgresError`."""
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all processes that it has started."""
        for worker in self.workers:
            worker.kill()
        self.stop()
        if self._postgres is not None:
            self._postgres.stop()
        self._guardian.close()

    def stop(self) -> None:
        """Ends the server, as if its machine were down; workers end when they notice."""
        if self._server is not None:
            self._server.end(signal.SIGTERM)
            self._server = None

    def _start(self) -> None:
        database = self._folder / "postgres"
        database.mkdir(parents=True)
        self.storage.mkdir()
        self._postgres = Postgres(
            self._roots[0], database, prepare=self._guardian.enlist(signal.SIGQUIT)
        )
        self._postgres.start()
        url = self._postgres.url.replace("postgresql:", "postgresql+psycopg:")
        migration = self._buildgrid("migrate", "apply", url)
        migration.process.wait(_SECONDS)
        if migration.process.returncode:
            raise migration.failed("should have made its tables")
        for attempt in range(_ATTEMPTS):
            # Somebody else may take the port before the server does.
            self.port = free_port()
            settings = self._folder / "buildgrid.yml"
            settings.write_text(
                _SETTINGS.format(
                    port=self.port,
                    database=url,
                    storage=self.storage,
                    session=_SESSION_SECONDS,
                    threads=_THREADS,
                )
            )
            self._server = self._buildgrid("server", "start", str(settings))
            try:
                self._server.wait(self._listens, f"should listen on port {self.port}")
            except FarmError:
                if attempt == _ATTEMPTS - 1 or self._server.process.poll() is None:
                    raise
            else:
                return

    def add_worker(self, name: str) -> Worker:
        """Starts a worker; returns when the server knows it. Raises `FarmError`."""
        worker = Worker(self._folder / name)
        worker.folder.mkdir()
        self.workers.append(worker)
        remote = f"http://127.0.0.1:{self.port}"
        cache = self._in_root(
            worker,
            "buildbox-casd",
            [f"--remote={remote}", "--bind=unix:/worker/socket", "/worker/cache"],
        )
        cache.wait((worker.folder / "socket").exists, "should make its socket")
        program = self._in_root(
            worker,
            "buildbox-worker",
            [
                f"--bots-remote={remote}",
                "--cas-remote=unix:/worker/socket",
                "--buildbox-run=/usr/bin/buildbox-run-hosttools",
                # Else the worker's own variables would reach actions.
                "--runner-arg=--clearenv",
                "--runner-arg=--staging-mode=copy-or-link",
                # Only so does it say that it has joined.
                "--log-level=debug",
                *(word for pair in PROPERTIES.items() for word in ("--platform", "=".join(pair))),
                name,
            ],
        )
        program.wait(lambda: _JOINED in program.log.read_bytes(), "should join the farm")
        return worker

    def _buildgrid(self, *arguments: str) -> Program:
        name = f"buildgrid-{arguments[0]}"
        variables = environment(PYTHONPYCACHEPREFIX=str(self._folder / "pyc"))
        command = [*python_command(), "-c", _MODULE, *arguments]
        return self._started(name, command, variables, self._folder)

    def _in_root(self, worker: Worker, name: str, arguments: Sequence[str]) -> Program:
        """Starts a program of the worker's root, which sees the worker's folder besides."""
        root = self._roots[1]
        command = [
            str(root / _LOADER),
            *("--library-path", str(root / _LIBRARIES), str(root / "usr/bin/bwrap")),
            *("--die-with-parent", "--unshare-ipc", "--unshare-pid", "--unshare-uts"),
            *("--hostname", "worker", "--clearenv", "--setenv", "PATH", "/usr/bin"),
            *("--ro-bind", f"{root}/usr", "/usr", "--symlink", "usr/bin", "/bin"),
            *("--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"),
            *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
            *("--bind", str(worker.folder), "/worker", "--chdir", "/worker"),
            *(f"/usr/bin/{name}", *arguments),
        ]
        program = self._started(f"{worker.folder.name}-{name}", command, {}, worker.folder)
        worker.programs.append(program)
        return program

    def _started(
        self, name: str, command: Sequence[str], variables: dict[str, str], folder: Path
    ) -> Program:
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C is for the program that ends this one.
                start_new_session=True,
                preexec_fn=self._guardian.enlist(signal.SIGTERM),  # noqa: PLW1509 - no threads here
            )
        return Program(name, process, log)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5):
            return True
        return False


def _descendants(pid: int) -> Iterator[str]:
    """The names of all processes below one."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                yield Path(f"/proc/{child}/comm").read_text().strip()
                yield from _descendants(int(child))


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))
