"""The whole of a service on one machine: the service itself, and what it needs beside it.

One loop in one thread looks after all of it. A program that is wrong is waited for until its
sources change; when PostgreSQL ends, or the settings are wrong, all of it ends.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Self

from tools.dev.ai import AiStub, Exchange
from tools.dev.guardian import Guardian
from tools.dev.interpreter import python_command
from tools.dev.output import Output, Tail
from tools.dev.postgres import DURABLE, Postgres, PostgresError, free_port
from tools.dev.sources import Sources

# sysexits.h: the settings are wrong, which no change of the sources mends.
EX_CONFIG = 78

# What every service runs on, besides what is its own.
SHARED_SOURCES = "serving"
# The stack's own; what a person has of these would lead the service elsewhere.
_OWN_DATABASE = frozenset(
    {"DATABASE_PASSWORD", "DATABASE_PASSWORD_FILE", "DATABASE_URL", "DATABASE_URL_FILE"}
)
_TICK_SECONDS = 0.05
_LOOK_SECONDS = 0.3
_STOP_SECONDS = 10.0
_PROBE_SECONDS = 2.0
# A service that is not ready writes a line for each probe: they come less often with time.
_MOST_BETWEEN_PROBES = 5.0
_LATE_SECONDS = 5.0
_SHOWN_CHARACTERS = 500
_PORT_ATTEMPTS = 3
_HIGHEST_PORT = 65535


class StackError(Exception):
    """It ends as a whole; the text says why, and what to do."""


@dataclass(frozen=True)
class Service:
    """What is run, from the service's definition (//rules:defs.bzl, `service_image`).

    Attributes:
        name: what it is called.
        module: what `python -m` runs.
        port: where it listens by default.
        ready_path: what answers 200 when it takes requests.
        metrics_path: where its metrics are.
    """

    name: str
    module: str
    port: int
    ready_path: str
    metrics_path: str

    @classmethod
    def read(cls, path: Path) -> "Service":
        """Reads the definition that the build wrote."""
        written = json.loads(path.read_text())
        return cls(
            name=written["service"],
            module=written["module"],
            port=written["port"],
            ready_path=written["ready_path"],
            metrics_path=written["metrics_path"],
        )

    @property
    def folders(self) -> list[str]:
        """Where its sources are, below the workspace."""
        return [self.module.replace(".", "/"), SHARED_SOURCES]


@dataclass
class Child:
    """A program of the service's that runs: `migrate`, or the service."""

    name: str
    process: subprocess.Popen[bytes]
    began: float
    pump: threading.Thread
    is_ready: bool = False
    is_late: bool = False
    next_probe: float = 0.0


class Stack:
    """Runs the parts until a signal or an error. Use it as a context: at its end they are gone."""

    def __init__(
        self,
        service: Service,
        workspace: Path,
        environment: Mapping[str, str],
        output: Output,
        guardian: Guardian,
    ) -> None:
        """`environment` is the person's; its settings are the service's, but for the database.

        Without `start_database` there is none, and nothing is migrated.
        """
        self._service = service
        self._workspace = workspace
        self._given = environment
        self._output = output
        self._guardian = guardian
        self._sources = Sources(workspace, service.folders)
        self._signals = 0
        self._child: Child | None = None
        self._must_migrate = False
        self._postgres: Postgres | None = None
        self._tail: Tail | None = None
        self._ai: AiStub | None = None
        self._cleanup = contextlib.ExitStack()
        self._port = 0
        self._began = time.monotonic()
        self._announced = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_child()
        self._cleanup.close()

    def on_signal(self, number: int, _: FrameType | None = None) -> None:
        """Ends it in order; the second time at once."""
        self._signals += 1
        if self._signals > 1 and self._child is not None:
            _kill(self._child.process)
        if self._signals == 1:
            self._say(f"{signal.Signals(number).name}: ending all of it")

    def choose_port(self) -> None:
        """Chooses where the service will listen; raises `StackError`."""
        self._port = choose_port(self._given.get("PORT", ""), self._service.port, self._say)

    def start_ai(self) -> None:
        """Starts an AI service, unless the person names one."""
        if not self._given.get("AI_BASE_URL"):
            self._ai = AiStub(heard=self._hear)
            self._cleanup.enter_context(self._ai)

    def prepare(self, pycache: Path) -> None:
        """Settles the service's environment, after all that it needs was started."""
        self._environment = self._for_service(pycache)

    def run(self) -> int:
        """Looks after it until its end; returns the exit code. Raises `StackError`."""
        if not self._signals:
            self._begin(self._sources.paths())
        next_look = 0.0
        while not self._signals and not self._output.closed:
            time.sleep(_TICK_SECONDS)
            self._show_database_log()
            if self._postgres is not None and not self._postgres.running:
                raise StackError(
                    "PostgreSQL ended; its last lines are above. If its database is broken, "
                    "`tools/bazel run //:dev -- --fresh` begins a new one"
                )
            self._look_after_child()
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + _LOOK_SECONDS
                if changed := self._sources.changed():
                    self._begin(changed)
        return 0

    def _say(self, text: str) -> None:
        self._output.line("dev", text)

    def _hear(self, exchange: Exchange) -> None:
        self._output.line("ai", exchange.header.partition("\r\n")[0].removesuffix(" HTTP/1.1"))

    def start_database(self, root: Path, folder: Path, lock: int) -> None:
        """Starts PostgreSQL of an unpacked root on the folder's database; raises `StackError`."""
        for name in sorted(_OWN_DATABASE & self._given.keys()):
            self._say(f"{name} is left aside: this stack has a database of its own")
        self._must_migrate = True
        log = folder / "log"
        log.write_bytes(b"")
        self._tail = Tail(self._cleanup.enter_context(log.open("rb")))
        self._cleanup.callback(self._show_database_log)
        self._say(f"starting PostgreSQL in {folder}")
        try:
            self._postgres = Postgres(
                root,
                folder,
                settings=DURABLE,
                prepare=self._guardian.enlist(signal.SIGINT),
                keep_open=[lock],
            )
            # Between choosing a port and listening on it somebody else may have taken it.
            for attempt in range(_PORT_ATTEMPTS):
                try:
                    self._postgres.start()
                    break
                except PostgresError as error:
                    is_last = attempt + 1 == _PORT_ATTEMPTS
                    if is_last or "Address already in use" not in self._postgres.log():
                        # Its log is shown as it comes, and not once more.
                        said = "PostgreSQL did not start; its last lines are above"
                        raise PostgresError(said) from error
                    self._postgres.port = free_port()
        except PostgresError as error:
            if not (folder / "data").exists():
                # None could be made: another attempt would meet the same.
                raise StackError(str(error)) from None
            raise StackError(
                f"{error}\n\nThe database in {folder} cannot be used. To begin a new one, without "
                "what this one holds: tools/bazel run //:dev -- --fresh"
            ) from None
        self._cleanup.callback(self._postgres.stop)

    def _for_service(self, pycache: Path) -> dict[str, str]:
        own = _OWN_DATABASE if self._postgres is not None else frozenset()
        environment = {name: value for name, value in self._given.items() if name not in own}
        package = self._service.module.partition(".")[0]
        # The workspace's sources, and not the copies that were built with this program.
        others = [each for each in sys.path if each and not Path(each, package).is_dir()]
        if self._ai is not None:
            environment["AI_BASE_URL"] = self._ai.url
        if self._postgres is not None:
            environment["DATABASE_URL"] = self._postgres.url
        # Who wants none beside the sources gets none, and the folder of its own saves seconds.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        # A request that hangs does not keep a new version waiting.
        environment.setdefault("GRACE_SECONDS", "3")
        return {
            **environment,
            "HOST": "127.0.0.1",
            "PORT": str(self._port),
            "PYTHONPATH": os.pathsep.join([str(self._workspace), *others]),
            "PYTHONPYCACHEPREFIX": str(pycache),
            "PYTHONUNBUFFERED": "1",
        }

    def _begin(self, changed: Sequence[Path]) -> None:
        """Starts the service with its newest sources, unless they are broken."""
        is_first = self._child is None
        if self._announced:
            self._say(f"changed: {self._list(changed)}")
        if broken := self._sources.broken(changed):
            rest = "starts" if is_first else "goes on as it is, and is started anew"
            self._say("\n".join([*broken, f"the service {rest} when this is mended"]))
            return
        self._end_child()
        if self._postgres is not None and any("migrations" in path.parts for path in changed):
            self._must_migrate = True
        self._start("migrate" if self._must_migrate else "service")

    def _list(self, paths: Sequence[Path]) -> str:
        names = [str(path.relative_to(self._workspace)) for path in paths[:3]]
        more = [f"and {len(paths) - len(names)} more"] if len(paths) > len(names) else []
        return ", ".join([*names, *more])

    def _start(self, name: str) -> None:
        arguments = ["migrate"] if name == "migrate" else []
        enlist = self._guardian.enlist(signal.SIGTERM)
        process = subprocess.Popen(
            [*python_command(), "-m", self._service.module, *arguments],
            cwd=self._workspace,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # The terminal's Ctrl-C is for this process, which ends all in their order.
            start_new_session=True,
            preexec_fn=enlist,
        )
        assert process.stdout is not None
        pump = self._output.pump(name, process.stdout)
        self._child = Child(name, process, time.monotonic(), pump)

    def _look_after_child(self) -> None:
        child = self._child
        if child is None:
            return
        code = child.process.poll()
        if code is None:
            if child.name == "service" and not child.is_ready:
                self._probe(child)
            return
        self._child = None
        _kill(child.process)
        # What it said comes before what is said of it.
        child.pump.join(_PROBE_SECONDS)
        if child.name == "migrate" and code == 0:
            self._must_migrate = False
            self._start("service")
        elif code == EX_CONFIG:
            raise StackError("the settings are wrong: change these variables of your environment")
        else:
            what = "the migration" if child.name == "migrate" else "the service"
            how = f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
            self._say(f"{what} ended {how}; it starts again when a source changes")

    def _probe(self, child: Child) -> None:
        """Asks whether it is ready; says once why not, where that takes long."""
        now = time.monotonic()
        if now < child.next_probe:
            return
        status, said = self._answer()
        if status == http.client.OK:
            child.is_ready = True
            self._announce(child)
            return
        age = now - child.began
        if status:
            child.next_probe = now + min(age / 5, _MOST_BETWEEN_PROBES)
        if age > _LATE_SECONDS and not child.is_late:
            child.is_late = True
            answer = f"answers {status}: {said}" if status else f"does not answer: {said}"
            self._say(
                f"the service is not ready after {age:.0f} s: {self._service.ready_path} {answer}\n"
                "its log is above; it goes on, and is started anew when a source changes"
            )

    def _answer(self) -> tuple[int, str]:
        """The status of the probe and what came with it; 0 and the reason where nothing came."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PROBE_SECONDS)
        try:
            connection.request("GET", self._service.ready_path)
            response = connection.getresponse()
            return response.status, response.read(_SHOWN_CHARACTERS).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error) or type(error).__name__
        finally:
            connection.close()

    def _announce(self, child: Child) -> None:
        now = time.monotonic()
        if self._announced:
            self._say(f"ready again after {now - child.began:.1f} s")
            return
        self._announced = True
        url = f"http://127.0.0.1:{self._port}"
        beside = []
        if self._postgres is not None:
            beside.append(f"  database  {self._postgres.url}\n")
        if self._ai is not None:
            note = "(answers with examples; AI_BASE_URL names another one)"
            beside.append(f"  AI        {self._ai.url}  {note}\n")
        elif named := self._environment.get("AI_BASE_URL"):
            beside.append(f"  AI        {named}\n")
        folders = " or ".join(f"{folder}/" for folder in self._service.folders)
        self._say(
            f"ready after {now - self._began:.1f} s\n"
            f"  API       {url}\n"
            f"  docs      {url}/docs\n"
            f"  metrics   {url}{self._service.metrics_path}\n"
            f"{''.join(beside)}"
            f"a change in {folders} starts the service anew; Ctrl-C ends all of it"
        )

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        while child.process.poll() is None and time.monotonic() < deadline and self._signals < 2:
            time.sleep(_TICK_SECONDS)
        # Also whatever it started, and left.
        _kill(child.process)
        child.process.wait()
        child.pump.join(_PROBE_SECONDS)

    def _show_database_log(self) -> None:
        if self._tail is not None:
            for line in self._tail.lines():
                self._output.line("postgres", line)


def choose_port(given: str, default: int, say: Callable[[str], None]) -> int:
    """The port of the service: what PORT says, or the default, or a free one in its place.

    Raises:
        StackError: PORT is no port, or not to be had.
    """
    if not given:
        if (fault := _fault(default)) is None:
            return default
        port = free_port()
        say(f"port {default}: {fault}. Taking {port} instead; the variable PORT chooses another")
        return port
    if not given.isdecimal() or int(given) > _HIGHEST_PORT:
        raise StackError(f"PORT: got {given!r}; expected 0 to {_HIGHEST_PORT}, 0 for a free one")
    port = int(given) or free_port()
    if fault := _fault(port):
        raise StackError(
            f"PORT: got {port}: {fault}. Set PORT to another one, or to 0 for a free one"
        )
    return port


def _fault(port: int) -> str | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
