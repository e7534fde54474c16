"""A PostgreSQL of one's own: its own folder, port and processes.

It comes from an unpacked Debian root, //image/postgres:tree, whose path tests get in TEST_POSTGRES.
Its programs run through that root's own dynamic loader: nothing of the host's libraries is needed.
PostgreSQL refuses to run as root: there it runs in a user namespace, in which root is somebody
else, or else as nobody.
"""

import contextlib
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

MAJOR = "17"
OWNER = "service"
DATABASE = "postgres"
VARIABLE = "TEST_POSTGRES"

START_SECONDS = 30
STOP_SECONDS = 20
NOBODY = 65534

COMMON = {
    "max_connections": "60",
    "shared_buffers": "32MB",
    "timezone": "GMT",
    "log_timezone": "GMT",
    "dynamic_shared_memory_type": "mmap",
}
# For data that nobody misses.
FAST = {**COMMON, "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
# For data that outlives a crash of the server, though not of the machine: the kernel has all that
# was acknowledged.
CRASH_SAFE = {**FAST, "synchronous_commit": "on"}
# For data that is kept: a crash of the machine costs nothing that was committed.
DURABLE = COMMON

# Somebody else in a user namespace, where files of root's stay accessible. A program does it, since
# a process that libraries give threads when it is forked cannot (unshare(2): EINVAL).
_IN_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
_LIBRARIES = "usr/lib/{cpu}-linux-gnu"
_LOADERS = {
    "x86_64": "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    "aarch64": "usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1",
}
_LOG_CHARACTERS = 4000
# The line of postmaster.pid that says how far the server is (LOCK_FILE_LINE_PM_STATUS).
_STATUS_LINE = 7


class PostgresError(Exception):
    """PostgreSQL does not do what it should; the text says what, with the end of its log."""


class _Options(TypedDict, total=False):
    user: int
    group: int
    extra_groups: Sequence[int]


@dataclass(frozen=True)
class User:
    """Whom its processes run as: the caller, somebody in a namespace, or a number."""

    prefix: tuple[str, ...] = ()
    number: int | None = None

    @property
    def options(self) -> _Options:
        """For `subprocess`."""
        if self.number is None:
            return {}
        return {"user": self.number, "group": self.number, "extra_groups": ()}


class Postgres:
    """One server. `start` and `stop` may be called again and again; the data stays.

    Attributes:
        data: the folder of the database, below the server's folder.
        port: where it listens, on 127.0.0.1.
    """

    def __init__(
        self,
        root: Path,
        folder: Path,
        *,
        settings: Mapping[str, str] = FAST,
        like: "Postgres | None" = None,
        prepare: Callable[[], None] | None = None,
        keep_open: Sequence[int] = (),
    ) -> None:
        """Makes the database, unless `folder` holds one.

        Args:
            root: the unpacked Debian root.
            folder: an existing folder that is the server's alone.
            settings: `FAST`; `CRASH_SAFE` where the server is killed, `DURABLE` where data is kept.
            like: a server that does not run, whose data is copied: to make some takes longer.
            prepare: called in its processes between fork and exec, such as `Guardian.enlist` gives.
            keep_open: descriptors that the server holds for as long as one of its processes runs.

        Raises:
            PostgresError: the folder holds another major version or none, or initdb fails.
        """
        self._folder = folder
        self._settings = settings
        self._prepare = prepare
        self._keep_open = keep_open
        self._user = ordinary_user()
        self._bin = programs(root, folder)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.data = folder / "data"
        if self._user.number is not None:
            os.chown(folder, NOBODY, NOBODY)
        if self.data.exists():
            check(self.data)
        elif like is not None:
            self._copy(like.data)
        else:
            self._initialise()

    @property
    def url(self) -> str:
        """The URL of its first database."""
        return f"postgresql://{OWNER}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended since."""
        return self._process is not None and self._process.poll() is None

    def start(self, seconds: float = START_SECONDS) -> None:
        """Returns when it takes connections; raises `PostgresError` when it does not."""
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._user.prefix, self._bin / "postgres", "-D", self.data, "-h", "127.0.0.1",
                    "-p", str(self.port), "-k", "", *options,
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                pass_fds=self._keep_open, preexec_fn=self._prepare, **self._user.options,
            )  # fmt: skip
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            # Ready, unlike merely listening: its own file says so.
            if self._says_ready():
                return
            time.sleep(0.05)
        self.stop(signal.SIGQUIT)
        raise PostgresError(f"PostgreSQL did not start:\n{self.log()}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends the server: SIGINT breaks connections off, SIGQUIT is a crash."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(STOP_SECONDS)
        self._process = None

    def kill(self) -> None:
        """Ends all of its processes at once, as the kernel may; returns when they are gone."""
        if self._process is None:
            return
        # Stopped first: it would start others in the place of those that die.
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        with contextlib.ExitStack() as stack:
            # It is the last one: while it is there, who has died is still somebody to kill.
            processes = [os.pidfd_open(pid) for pid in _family(self._process.pid)]
            for one in processes:
                stack.callback(os.close, one)
                signal.pidfd_send_signal(one, signal.SIGKILL)
            for one in processes:
                # The next server would refuse memory that one of them still holds.
                select.select([one], [], [], STOP_SECONDS)
        self._process.wait(STOP_SECONDS)
        self._process = None

    def log(self) -> str:
        """The end of its log."""
        path = self._folder / "log"
        return path.read_text(errors="replace")[-_LOG_CHARACTERS:] if path.exists() else ""

    def _says_ready(self) -> bool:
        assert self._process is not None
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        # A server that was killed leaves its file behind.
        is_own = lines[:1] == [str(self._process.pid)]
        return is_own and len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"

    def _copy(self, data: Path) -> None:
        """Copies a database with the owner of its files, who may not be the caller."""
        done = subprocess.run(
            ["cp", "--archive", data, self.data], capture_output=True, text=True, check=False
        )
        if done.returncode:
            shutil.rmtree(self.data, ignore_errors=True)
            raise PostgresError(f"copying a database failed:\n{done.stderr}")

    def _initialise(self) -> None:
        """Makes the database beside its place and renames it: it is whole or absent."""
        beside = self.data.with_name("data.unfinished")
        shutil.rmtree(beside, ignore_errors=True)
        done = subprocess.run(
            [
                *self._user.prefix, self._bin / "initdb", "-D", beside, "-U", OWNER, "--auth=trust",
                "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8",
                "--no-instructions", *([] if self._settings is DURABLE else ["--no-sync"]),
            ],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True,
            preexec_fn=self._prepare, check=False, **self._user.options,
        )  # fmt: skip
        if done.returncode:
            shutil.rmtree(beside, ignore_errors=True)
            raise PostgresError(f"initdb failed:\n{done.stdout}{done.stderr}")
        beside.rename(self.data)


def tree() -> Path | None:
    """The unpacked root, if there is one."""
    name = os.environ.get(VARIABLE)
    return Path(name).resolve() if name else None


def new_folder() -> Path:
    """A folder for a server whose data nobody misses."""
    return Path(tempfile.mkdtemp(prefix="pg-", dir=os.environ.get("TEST_TMPDIR")))


def remove(folder: Path) -> None:
    """Removes what `new_folder` made."""
    shutil.rmtree(folder, ignore_errors=True)


def check(data: Path) -> None:
    """Raises `PostgresError` where a folder holds no database that this PostgreSQL reads."""
    try:
        found = (data / "PG_VERSION").read_text().strip()
    except OSError as error:
        raise PostgresError(f"{data} is no database of PostgreSQL: {error}") from None
    if found != MAJOR:
        raise PostgresError(
            f"{data}: expected a database of PostgreSQL {MAJOR}, got one of PostgreSQL {found}"
        )


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listened a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def programs(root: Path, folder: Path) -> Path:
    """Makes, in `folder`, a tree of wrappers beside links to the real one; the wrappers' folder.

    initdb starts the `postgres` beside itself, which therefore has to be a wrapper too; and both
    find their files relative to where they stand. Raises `PostgresError` where `root` has none.
    """
    cpu = os.uname().machine
    if cpu not in _LOADERS:
        raise PostgresError(f"expected a CPU of {', '.join(_LOADERS)}, got {cpu}")
    loader = root / _LOADERS[cpu]
    libraries = root / _LIBRARIES.format(cpu=cpu)
    real = root / "usr/lib/postgresql" / MAJOR
    if not (real / "bin/postgres").exists() or not loader.exists():
        raise PostgresError(f"{root} holds no PostgreSQL {MAJOR} for {cpu}")
    # Of an earlier run, whose root may have been another one.
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder / "root")
    shadow = folder / "root/usr/lib/postgresql" / MAJOR
    (shadow / "bin").mkdir(parents=True)
    (shadow / "lib").symlink_to(real / "lib")
    (folder / "root/usr/share").symlink_to(root / "usr/share")
    for name in ("initdb", "postgres"):
        wrapper = shadow / "bin" / name
        command = [
            loader, "--argv0", wrapper, "--library-path", f"{libraries}:{real}/lib",
            real / "bin" / name,
        ]  # fmt: skip
        line = " ".join(shlex.quote(str(part)) for part in command)
        wrapper.write_text(f'#!/bin/sh\nexec {line} "$@"\n')
        wrapper.chmod(0o755)
    return shadow / "bin"


def _family(pid: int) -> list[int]:
    """The children of a process, and the process (proc_pid_task(5))."""
    children = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    return [*(int(word) for text in children for word in text.split()), pid]


def ordinary_user() -> User:
    """Whom PostgreSQL can run as; raises `PostgresError` where there is nobody but root."""
    if os.geteuid() != 0:
        return User()
    probe = subprocess.run([*_IN_NAMESPACE, "true"], capture_output=True, text=True, check=False)
    if probe.returncode == 0:
        return User(prefix=_IN_NAMESPACE)
    if _has_user(NOBODY, Path("/proc/self/uid_map").read_text()):
        return User(number=NOBODY)
    raise PostgresError(
        "PostgreSQL refuses to run as root: expected to be let make a user namespace, or to have "
        f"the user {NOBODY}, which is not here; making one ended with: {probe.stderr.strip()}"
    )


def _has_user(user: int, uid_map: str) -> bool:
    """Whether a user namespace has a user (user_namespaces(7))."""
    ranges = [[int(word) for word in line.split()] for line in uid_map.splitlines()]
    return any(first <= user < first + count for first, _, count in ranges)
