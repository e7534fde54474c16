"""Runs programs of an unpacked arm64 image on this machine, by QEMU's user emulation.

The image is the root folder of what runs, so its own dynamic loader loads it and nothing of this
machine can stand in for a file that the image lacks. QEMU, a static program, is put beside them.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.container import rootfs
from tests.oci.layout import Image

_QEMU = "qemu-aarch64"
PYTHON = "/usr/bin/python3.13"


class EmulationError(Exception):
    """A program did not do what it should; the text has what it wrote."""


@dataclass
class Machine:
    """An unpacked image; `root` is writable, and the caller's to remove."""

    root: Path
    environment: Mapping[str, str]
    folder: str

    @classmethod
    def of(cls, image: Image, root: Path) -> "Machine":
        """Unpacks an image below an empty folder, and puts QEMU there."""
        found = shutil.which(_QEMU)
        if found is None:
            raise EmulationError(f"{_QEMU} is missing. On Debian: apt-get install qemu-user")
        rootfs.unpack(image, root, owners=False)
        shutil.copy(found, root / _QEMU)
        configuration = image.configuration
        return cls(root, configuration.environment, configuration.working_directory)

    def command(self, *arguments: str) -> list[str]:
        """The command line that runs a program of the image."""
        return [
            *("unshare", "--user", "--map-root-user", f"--root={self.root}", f"--wd={self.folder}"),
            *(f"/{_QEMU}", *arguments),
        ]

    def run(
        self, *arguments: str, environment: Mapping[str, str] | None = None, seconds: float = 300
    ) -> "subprocess.CompletedProcess[str]":
        """Runs a program to its end."""
        return subprocess.run(
            self.command(*arguments),
            env={**self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )


@dataclass
class Service:
    """A program of the image that runs until it is told to end. Use it as a context."""

    machine: Machine
    arguments: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def __enter__(self) -> Self:
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(
                self.machine.command(*self.arguments),
                env={**self.machine.environment, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The process: unshare, chroot and QEMU all become one another."""
        assert self._process is not None
        return self._process

    def until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        """Waits for a condition; raises `EmulationError` when it never comes."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                raise EmulationError(
                    f"it ended with {self.process.returncode} before it was {what}\n"
                    f"{self.log.read_text(errors='replace')}"
                )
            if time.monotonic() > deadline:
                raise EmulationError(
                    f"not {what} within {seconds:g} s\n{self.log.read_text(errors='replace')}"
                )
            time.sleep(0.2)
