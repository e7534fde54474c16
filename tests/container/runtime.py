"""Runs images with runc, confined as asked, and leaves nothing behind."""

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.container import bundle, rootfs
from tests.container.bundle import Mount, SecurityContext
from tests.container.cgroups import Cgroups, Limits
from tests.container.needs import program
from tests.container.patience import patient
from tests.oci.layout import Configuration, Image
from tools.dev import complaints

_KILL_SECONDS = 10.0


class ContainerError(Exception):
    """The runtime refused, or a container did not do what it should; the text has its log."""


@dataclass(frozen=True)
class Unpacked:
    """An image that containers can be made of."""

    configuration: Configuration
    root: Path


class Runtime:
    """Makes containers. Use it as a context: at its end they are gone."""

    def __init__(self, scratch: Path, *, owners: bool, cgroups: Cgroups | None) -> None:
        """`owners` says that files may belong to any user; limits take `cgroups`."""
        self._scratch = scratch
        self._owners = owners
        self._cgroups = cgroups
        self._runc = program("runc", "runc")
        self._count = 0
        self._running: list[Container] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for container in self._running:
            container.remove()

    def unpack(self, image: Image) -> Unpacked:
        """Unpacks an image for any number of containers; they cannot change it."""
        self._count += 1
        folder = self._scratch / f"image-{self._count}"
        folder.mkdir()
        rootfs.unpack(image, folder, owners=self._owners)
        return Unpacked(image.configuration, folder)

    def start(
        self,
        image: Unpacked,
        context: SecurityContext,
        *,
        name: str = "container",
        arguments: Sequence[str] | None = None,
        entrypoint: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        mounts: Sequence[Mount] = (),
        limits: Limits | None = None,
        watched: bool | None = None,
    ) -> "Container":
        """Starts a container; raises `ContainerError` with what runc says where it refuses.

        One that is `watched` logs as the service does, and tests are told of its complaints: by
        default those that run the image's own entry point.
        """
        self._count += 1
        identifier = f"{name}-{self._count}"
        folder = self._scratch / identifier
        folder.mkdir()
        content = bundle.config(
            image.configuration,
            image.root,
            context,
            arguments=arguments,
            entrypoint=entrypoint,
            environment=environment,
            mounts=mounts,
            limits=limits if self._cgroups else None,
            cgroups_path=f"{self._cgroups.path}/{identifier}" if self._cgroups else "",
            hostname=identifier,
        )
        (folder / "config.json").write_text(json.dumps(content, indent=2))
        container = Container(
            identifier,
            folder,
            self._command,
            watched=entrypoint is None if watched is None else watched,
        )
        self._running.append(container)
        container._create()
        return container

    def complaints(self) -> list[str]:
        """What the watched containers have complained of since the last call, in their logs."""
        return [
            f"{container.name}: {found}"
            for container in self._running
            if container.watched
            for found in complaints.found(container.unread())
        ]

    def _command(self, *arguments: str) -> list[str]:
        return [self._runc, f"--root={self._scratch}/runc", *arguments]


@dataclass
class Container:
    """One container: its first process, what it has written, and its end."""

    name: str
    folder: Path
    _command: Callable[..., list[str]] = field(repr=False)
    pid: int = 0
    exit_code: int | None = None
    watched: bool = False
    _descriptor: int = -1
    _removed: bool = False
    _read: int = 0

    def _create(self) -> None:
        pid_file, log = self.folder / "pid", self.folder / "runc.log"
        with (self.folder / "stdout").open("wb") as out, (self.folder / "stderr").open("wb") as err:
            # The container's process keeps these files open: a pipe would never end.
            created = subprocess.run(
                self._command(
                    f"--log={log}", "--log-format=json", "create",
                    f"--bundle={self.folder}", f"--pid-file={pid_file}", self.name,
                ),
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, check=False,
            )  # fmt: skip
        if created.returncode != 0:
            raise ContainerError(f"runc create {self.name}: {_messages(log)}\n{self.log}")
        self.pid = int(pid_file.read_text())
        self._descriptor = os.pidfd_open(self.pid)
        started = subprocess.run(
            self._command("start", self.name), capture_output=True, text=True, check=False
        )
        if started.returncode != 0:
            raise ContainerError(f"runc start {self.name}: {started.stderr.strip()}")

    @property
    def stdout(self) -> str:
        """What it has written so far."""
        return (self.folder / "stdout").read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """What it has written so far."""
        return (self.folder / "stderr").read_text(errors="replace")

    def unread(self) -> str:
        """The whole lines that it has written to standard output since the last call."""
        with (self.folder / "stdout").open("rb") as file:
            file.seek(self._read)
            lines = file.read().rpartition(b"\n")
        self._read += len(lines[0]) + len(lines[1])
        return lines[0].decode(errors="replace")

    @property
    def log(self) -> str:
        """Standard output and standard error, for messages."""
        return f"--- {self.name}: stdout\n{self.stdout}--- {self.name}: stderr\n{self.stderr}"

    @property
    def running(self) -> bool:
        """Whether its first process has not ended."""
        return self._ended(0) is False

    def signal(self, number: int) -> None:
        """Sends its first process a signal; one that has ended gets none."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, number)

    def wait(self, seconds: float) -> int:
        """Its exit code, 128 + N after signal N; raises `ContainerError` when it runs on."""
        seconds = patient(seconds)
        if not self._ended(seconds):
            raise ContainerError(f"{self.name} still runs after {seconds:g} s\n{self.log}")
        assert self.exit_code is not None
        return self.exit_code

    def _ended(self, seconds: float) -> bool:
        if self.exit_code is not None:
            return True
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return False
        # runc has left; its children are this process's, which is process 1 of its namespace.
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self.exit_code = code if code >= 0 else 128 - code
        return True

    def execute(
        self, *arguments: str, user: str = "", seconds: float = 30
    ) -> "subprocess.CompletedProcess[str]":
        """Runs another process in it, confined the same; `user` is the container's by default."""
        options = ["--user", user] if user else []
        return subprocess.run(
            self._command("exec", *options, self.name, *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=patient(seconds),
        )

    def processes(self) -> list[int]:
        """The ids, here, of all its processes."""
        own = (Path("/proc") / str(self.pid) / "ns/pid").readlink()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (folder / "ns/pid").readlink() == own:
                    found.append(int(folder.name))
        return sorted(found)

    def status(self) -> dict[str, str]:
        """/proc/PID/status of its first process, by field."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def until[Result](
        self, condition: Callable[[], Result | None], what: str, seconds: float
    ) -> Result:
        """Waits until a condition gives a result; raises `ContainerError` when it never does.

        A container that ends meanwhile is not waited for.
        """
        seconds = patient(seconds)
        deadline = time.monotonic() + seconds
        while True:
            if result := condition():
                return result
            if not self.running:
                raise ContainerError(
                    f"{self.name} ended with {self.exit_code} before {what}\n{self.log}"
                )
            if time.monotonic() > deadline:
                raise ContainerError(f"{self.name}: not {what} within {seconds:g} s\n{self.log}")
            # What is asked has to answer each time, and has better things to do.
            time.sleep(patient(0.05))

    def remove(self) -> None:
        """Kills and forgets it, once; what it wrote stays readable."""
        if self._removed:
            return
        self._removed = True
        if self._descriptor >= 0:
            self.signal(signal.SIGKILL)
            self.wait(_KILL_SECONDS)
            os.close(self._descriptor)
            self._descriptor = -1
        subprocess.run(
            self._command("delete", "--force", self.name), capture_output=True, check=False
        )


def _messages(log: Path) -> str:
    def lines() -> Iterator[str]:
        for line in log.read_text().splitlines() if log.exists() else []:
            record = json.loads(line)
            if record.get("level") in {"error", "fatal"}:
                yield record["msg"]

    return "; ".join(lines()) or "no message"
