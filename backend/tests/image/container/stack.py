"""The service as it is deployed: PostgreSQL, an AI service, and replicas of the backend.

All listen on loopback addresses of the test's own network namespace, each on its usual port.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import asyncpg
import httpx

from backend.tests.image.container.clock import Clock
from tests.container import probe
from tests.container.bundle import Mount, SecurityContext
from tests.container.limits import LIMITS
from tests.container.needs import NeedError
from tests.container.runtime import Container, Runtime, Unpacked
from tools.dev.ai import AiStub, says

API_KEY = "a-key-for-tests-only"
OWNER = "todo"
PASSWORD = "a password: with 'odd' characters"
READY_SECONDS = 60.0
STOP_SECONDS = 20.0
PROBES = ("live", "ready", "startup")
WELL = {(name, 200) for name in PROBES}
# What the AI service proposes for any todo.
SUGGESTIONS = {"subtasks": ["find the can", "fill it"], "priority": "high", "due": None}

_PATIENT = {
    "DATABASE_CONNECT_TIMEOUT": "30",
    "DATABASE_POOL_TIMEOUT": "30",
    "DATABASE_STATEMENT_TIMEOUT": "30",
}
_DATABASE_HOST = "127.0.0.5"
# Where deploy/ has the secrets; the AppArmor profile lets the service read nothing else below /run.
SECRETS = "/run/secrets/todo-backend"
_PASSWORD_FILE = f"{SECRETS}/database-password"
_PROGRAMS = "/usr/lib/postgresql/17/bin"
# The image's user.
_USER = 65532


@dataclass(frozen=True)
class Replica:
    """One running backend."""

    container: Container
    url: str

    def client(self, **options: object) -> httpx.Client:
        """A client that has the API key."""
        headers = {"Authorization": f"Bearer {API_KEY}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=10, **options)  # type: ignore[arg-type]

    def health(self, name: str = "ready") -> int:
        """The status code of a probe; 0 where nothing answers."""
        return probe.status(f"{self.url}/health/{name}")

    def probes(self, seconds: float) -> set[tuple[str, int]]:
        """What each probe answers for a while, over and over."""
        deadline = time.monotonic() + seconds
        seen = set()
        while time.monotonic() < deadline:
            seen |= {(name, self.health(name)) for name in PROBES}
            time.sleep(0.1)
        return seen

    def until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Waits until it takes requests."""
        self.until_health(200, seconds)

    def until_health(self, status: int, seconds: float = READY_SECONDS) -> None:
        """Waits until readiness answers with a status code."""
        self.container.until(lambda: self.health() == status, f"readiness {status}", seconds)


class Stack:
    """Starts and stops the parts. Use it as a context."""

    def __init__(
        self,
        runtime: Runtime,
        backend: Unpacked,
        postgres: Unpacked,
        context: SecurityContext,
        folder: Path,
        *,
        limits: bool = True,
        cluster: Path | None = None,
    ) -> None:
        """`folder` keeps PostgreSQL's files, to begin with those of `cluster` if there is one."""
        self._runtime = runtime
        self._backend = backend
        self._postgres = postgres
        self._context = context
        self._limits = limits
        self._password = PASSWORD
        self._data = folder / "postgres"
        self._secret = folder / "password"
        self._database: Container | None = None
        self._replicas: list[Container] = []
        self.ai = AiStub("127.0.0.6", behaviour=says(SUGGESTIONS))
        self._data.mkdir()
        self._secret.write_text(PASSWORD + "\n")
        if os.geteuid() == 0:
            try:
                os.chown(self._data, _USER, _USER)
                os.chown(self._secret, _USER, _USER)
            except OSError as error:
                raise NeedError(
                    "PostgreSQL refuses to run as root, and this user namespace has no other user. "
                    "Run as root to test with PostgreSQL"
                ) from error
        self._secret.chmod(0o400)
        if cluster is not None:
            self._copy(cluster, self._data / "data")

    def __enter__(self) -> Self:
        self.ai.start()
        self.start_database()
        return self

    def __exit__(self, *_: object) -> None:
        for replica in self._replicas:
            replica.remove()
        if self._database is not None:
            self._database.remove()
        self.ai.stop()

    @staticmethod
    def _copy(cluster: Path, data: Path) -> None:
        # By programs: an emulated interpreter would take as long as initdb.
        subprocess.run(["cp", "--recursive", cluster, data], check=True)
        # PostgreSQL refuses what others may read.
        data.chmod(0o700)
        if os.geteuid() == 0:
            subprocess.run(["chown", "--recursive", f"{_USER}:{_USER}", data], check=True)

    @property
    def database(self) -> Container:
        """The running PostgreSQL."""
        assert self._database is not None
        return self._database

    def start_database(self) -> None:
        """Starts PostgreSQL; what it held before is there again."""
        # The profiles are the service's; PostgreSQL is no part of them.
        context = replace(self._context, seccomp=None, apparmor="")
        self._database = self._runtime.start(
            self._postgres,
            context,
            name="postgres",
            arguments=["-c", f"listen_addresses={_DATABASE_HOST}", "-c", "fsync=off"],
            environment={
                "POSTGRES_USER": OWNER,
                "POSTGRES_PASSWORD_FILE": _PASSWORD_FILE,
            },
            mounts=[
                Mount(self._data, "/var/lib/postgresql", read_only=False),
                Mount(self._secret, _PASSWORD_FILE),
            ],
            watched=False,
        )
        self._database.until(self._accepts, "accepting connections", READY_SECONDS)

    def _accepts(self) -> bool:
        # Asked again and again by a program, a slow processor would do little else.
        try:
            socket.create_connection((_DATABASE_HOST, 5432), timeout=1).close()
        except OSError:
            return False
        done = self.database.execute(f"{_PROGRAMS}/pg_isready", "-h", _DATABASE_HOST, "-q")
        return done.returncode == 0

    def stop_database(self, number: int = signal.SIGINT) -> None:
        """Stops PostgreSQL: SIGINT breaks connections off, SIGKILL is a crash."""
        self.database.signal(number)
        self.database.wait(STOP_SECONDS)
        self.database.remove()

    def freeze_database(self) -> None:
        """Stops every process of PostgreSQL where it stands: connections stay, answers do not."""
        self._signal_database(signal.SIGSTOP)

    def thaw_database(self) -> None:
        """Lets them go on."""
        self._signal_database(signal.SIGCONT)

    def _signal_database(self, number: int) -> None:
        for pid in self.database.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    @contextlib.contextmanager
    def slow_todos(self) -> Iterator[None]:
        """Meanwhile a session holds the table of todos, so that each statement on it waits.

        All else is answered as fast as ever.
        """
        with asyncio.Runner() as runner:
            session = runner.run(_connect("todo"))
            try:
                runner.run(session.execute("BEGIN; LOCK TABLE todos"))
                yield
            finally:
                runner.run(session.close())

    def change_password(self, password: str) -> None:
        """Gives the database's role another password; give it back what it had."""
        with asyncio.Runner() as runner:
            session = runner.run(_connect("todo", self._password))
            quoted = password.replace("'", "''")
            try:
                runner.run(session.execute(f"ALTER ROLE todo PASSWORD '{quoted}'"))
                self._password = password
            finally:
                runner.run(session.close())

    def environment(self, **more: str) -> dict[str, str]:
        """What a production deployment sets, besides the address."""
        digest = hashlib.sha256(API_KEY.encode()).hexdigest()
        return {
            "ENVIRONMENT": "prod",
            "DATABASE_URL": f"postgresql://todo@{_DATABASE_HOST}:5432/todo",
            "DATABASE_PASSWORD_FILE": _PASSWORD_FILE,
            "API_KEYS": f"tests:sha256:{digest}",
            "AI_BASE_URL": self.ai.url,
            **more,
        }

    def run(self, *arguments: str, **environment: str) -> Container:
        """Runs a command of the image, such as "migrate", to its end."""
        container = self._start("command", arguments, environment, None)
        container.wait(READY_SECONDS)
        return container

    def replica(
        self,
        context: SecurityContext | None = None,
        *,
        host: str | None = None,
        clock: Clock | None = None,
        patient: bool = False,
        secrets: Path | None = None,
        **environment: str,
    ) -> Replica:
        """Starts a backend, on an address of its own by default; it need not be ready yet.

        A `patient` one gives the database time, for tests that are not about that: a busy machine
        may stand still for longer than the 5 s after which the service gives up. `secrets` is the
        folder of its secrets, instead of one with the database's password alone.
        """
        if patient:
            environment = _PATIENT | environment
        host = host or f"127.0.1.{len(self._replicas) + 1}"
        container = self._start(
            "backend", None, {"HOST": host, **environment}, context, clock, secrets
        )
        self._replicas.append(container)
        return Replica(container, f"http://{host}:8000")

    def _start(
        self,
        name: str,
        arguments: tuple[str, ...] | None,
        environment: Mapping[str, str],
        context: SecurityContext | None,
        clock: Clock | None = None,
        secrets: Path | None = None,
    ) -> Container:
        mount = Mount(self._secret, _PASSWORD_FILE) if secrets is None else Mount(secrets, SECRETS)
        return self._runtime.start(
            self._backend,
            context or self._context,
            name=name,
            arguments=arguments,
            environment={**self.environment(**environment), **(clock.environment if clock else {})},
            mounts=[mount, *([clock.mount] if clock else [])],
            limits=LIMITS if self._limits else None,
        )


async def _connect(database: str, password: str = PASSWORD) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(
        host=_DATABASE_HOST, user="todo", database=database, password=password
    )


def log_lines(container: Container) -> list[dict[str, object]]:
    """What it logged as JSON; raises `ValueError` for a line that is none."""
    return [json.loads(line) for line in container.stdout.splitlines()]
