"""A PostgreSQL of the test's own: its own folder, port and processes, gone afterwards.

TEST_POSTGRES names an unpacked Debian root. Its programs run through the root's own dynamic loader,
so nothing of the host's libraries is needed. PostgreSQL refuses to run as root: there it runs in a
user namespace, in which root is somebody else, or else as nobody.
"""

import ctypes
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

NOBODY = 65534
CLONE_NEWUSER = 0x10000000
START_SECONDS = 30
LIBRARIES = "usr/lib/{cpu}-linux-gnu"
LOADERS = {
    "x86_64": "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    "aarch64": "usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1",
}
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "timezone": "GMT",
    "log_timezone": "GMT",
    "dynamic_shared_memory_type": "mmap",
}


def tree() -> Path | None:
    """The unpacked root, if there is one."""
    name = os.environ.get("TEST_POSTGRES")
    return Path(name).resolve() if name else None


class Postgres:
    """One server. `start` and `stop` may be called again and again; the data stays."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._folder = folder
        self._as_user = _user()
        self._bin = _shadow(root, folder)
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._data = folder / "data"
        if self._as_user is _as_nobody:
            os.chown(folder, NOBODY, NOBODY)
        self._run(
            "initdb", "-D", self._data, "-U", "todo", "--auth=trust", "--encoding=UTF8",
            "--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync", "--no-instructions",
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"postgresql://todo@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._bin / "postgres", "-D", self._data, "-h", "127.0.0.1",
                    "-p", str(self.port), "-k", "", *options,
                ],
                stdout=log, stderr=log, start_new_session=True,
                preexec_fn=self._as_user,  # noqa: PLW1509  (it only makes system calls)
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            # Ready, unlike merely listening: the log says so.
            if self._says_ready():
                return
            time.sleep(0.05)
        raise AssertionError(f"PostgreSQL did not start:\n{self.log()}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT breaks connections off, SIGQUIT is a crash."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)
        self._process = None

    def log(self) -> str:
        path = self._folder / "log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def _says_ready(self) -> bool:
        path = self._data / "postmaster.pid"
        try:
            lines = path.read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [self._bin / program, *map(str, arguments)],
            capture_output=True,
            text=True,
            preexec_fn=self._as_user,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"{program} failed:\n{done.stdout}{done.stderr}")


def new_folder() -> Path:
    """A folder for a server; the path of a socket or of the shadow tree must not be long."""
    return Path(tempfile.mkdtemp(prefix="pg-", dir=os.environ.get("TEST_TMPDIR")))


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _shadow(root: Path, folder: Path) -> Path:
    """A tree of wrappers beside links to the real one.

    initdb starts the `postgres` beside itself, which therefore has to be a wrapper too; and both
    find their files relative to where they stand.
    """
    cpu = os.uname().machine
    loader = root / LOADERS[cpu]
    libraries = root / LIBRARIES.format(cpu=cpu)
    real = root / "usr/lib/postgresql/17"
    if not (real / "bin/postgres").exists() or not loader.exists():
        raise AssertionError(f"TEST_POSTGRES={root} holds no PostgreSQL 17 for {cpu}")
    shadow = folder / "root/usr/lib/postgresql/17"
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
    folder.chmod(0o755)
    return shadow / "bin"


def _user() -> Callable[[], None] | None:
    if os.geteuid() != 0:
        return None
    works = subprocess.run(["true"], preexec_fn=_as_namespace_user, check=False)
    return _as_namespace_user if works.returncode == 0 else _as_nobody


def _as_namespace_user() -> None:
    """Become somebody else in a user namespace, where files of root's stay accessible."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        os._exit(1)
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text("1000 0 1")
        Path("/proc/self/gid_map").write_text("1000 0 1")
    except OSError:
        os._exit(1)


def _as_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
