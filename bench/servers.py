"""Services that run from unpacked images, on this machine's network and kernel."""

import json
import os
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from bench.commands import BenchError, end, find
from tests.oci.layout import Configuration

_SECONDS_TO_START = 60
_LOG_CHARACTERS = 3000


@dataclass(frozen=True)
class Unpacked:
    """An image's files, and how it is run."""

    root: Path
    configuration: Configuration

    def command(self, variables: Mapping[str, str], *arguments: str) -> list[str]:
        """The command line that runs it: root read-only, as an ordinary user, by bubblewrap."""
        program = find("bwrap")
        if program is None:
            raise BenchError("bwrap is missing. As root: apt-get install bubblewrap")
        taken = {**self.configuration.environment, **variables}
        user, _, group = self.configuration.user.partition(":")
        return [
            *(program, "--die-with-parent", "--unshare-user", "--uid", user, "--gid", group),
            *("--ro-bind", str(self.root), "/", "--dev", "/dev", "--proc", "/proc"),
            *("--tmpfs", "/tmp", "--chdir", self.configuration.working_directory, "--clearenv"),
            *(word for name, value in taken.items() for word in ("--setenv", name, value)),
            "--",
            *self.configuration.entrypoint,
            *arguments,
        ]


class Serving:
    """A served image; ended at the end of the block.

    Attributes:
        pid: of the service itself.
        url: its base URL.
    """

    def __init__(self, image: Unpacked, log: Path, variables: Mapping[str, str]) -> None:
        """Starts it on a free port of 127.0.0.1.

        Raises:
            BenchError: it does not listen; the text has the end of its log.
        """
        self._log = log
        reading, writing = os.pipe()
        settings = {"HOST": "127.0.0.1", "PORT": "0", "LOG_FORMAT": "json", **variables}
        command = image.command(settings)
        command[1:1] = ["--info-fd", str(writing)]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[writing],
                start_new_session=True,
            )
        os.close(writing)
        try:
            with os.fdopen(reading) as info:
                told = info.read()
            self.pid = int(json.loads(told)["child-pid"]) if told else 0
            self.url = f"http://127.0.0.1:{self._port()}"
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def wait_ready(self, path: str) -> None:
        """Returns when it answers 200; raises `BenchError` with its log when it does not."""
        deadline = time.monotonic() + _SECONDS_TO_START
        while time.monotonic() < deadline:
            try:
                if httpx.get(self.url + path, timeout=5).status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.005)
        raise BenchError(f"the service is not ready:\n{self._said()}")

    def resident(self) -> float:
        """Its resident memory, in MB (10**6 bytes)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        if found is None:
            raise BenchError(f"the service has ended:\n{self._said()}")
        return int(found[1]) * 1024 / 1e6

    def _port(self) -> int:
        deadline = time.monotonic() + _SECONDS_TO_START
        while time.monotonic() < deadline and self._process.poll() is None:
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", self._said())
            if found:
                return int(found[1])
            time.sleep(0.005)
        raise BenchError(f"the service did not start:\n{self._said()}")

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-_LOG_CHARACTERS:]

    def _end(self) -> None:
        if self._process.poll() is None:
            end(self._process)
