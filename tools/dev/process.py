"""A service as a process of its own, as it runs in the image."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

import httpx

from tools.dev.interpreter import python_command

__all__ = ["RUN_SECONDS", "Process", "Running", "environment", "python_command", "run"]

# A condition is waited for: only a machine under heavy load needs more than some seconds.
START_SECONDS = 120
RUN_SECONDS = 60


def environment(**variables: str) -> dict[str, str]:
    """Variables for a child: nothing of this process' own but where modules are."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in {"PATH", "PYTHONHOME", "LD_LIBRARY_PATH", "TMPDIR"}
    }
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        **_byte_code(),
        "PYTHONUNBUFFERED": "1",
        **variables,
    }


def _byte_code() -> dict[str, str]:
    """Where byte-code is; never is any written beside the sources.

    Bazel gives wheels theirs, and Python looks there or in a folder of its own, never in both.
    Wheels compile for 1.8 s, the service's own sources for 0.1 s.
    """
    if Path(httpx.__file__).with_name("__pycache__").is_dir():
        return {"PYTHONDONTWRITEBYTECODE": "1"}
    # Compiled once for all the processes that a test starts.
    return {"PYTHONPYCACHEPREFIX": os.environ.get("TEST_TMPDIR", tempfile.gettempdir()) + "/pyc"}


def run(module: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of a service, `python -m MODULE ARGUMENTS`, to its end."""
    return subprocess.run(
        [*python_command(), "-m", module, *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


class Process(Protocol):
    """What a process that was started has: `subprocess.Popen` is one."""

    @property
    def pid(self) -> int:
        """Its number."""

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended; raises `subprocess.TimeoutExpired`."""

    def send_signal(self, sig: int) -> None:
        """Sends it a signal, unless it has ended."""

    def kill(self) -> None:
        """Sends it SIGKILL."""


class Running:
    """A served service; ended at the end of the block, if it has not ended by then.

    Attributes:
        process: the process.
        port: where it listens, on 127.0.0.1.
        url: its base URL.
    """

    def __init__(self, module: str, **variables: str) -> None:
        """Starts `python -m MODULE`; raises `AssertionError` with its log when it does not serve.

        By default it takes a free port and logs JSON; `variables` are its settings.
        """
        self._log = Path(tempfile.mkstemp(suffix=".log", dir=os.environ.get("TEST_TMPDIR"))[1])
        with self._log.open("wb") as log:
            self.process = self._start(
                module,
                environment(
                    **{"HOST": "127.0.0.1", "PORT": "0", "LOG_FORMAT": "json", **variables}
                ),
                log,
            )
        try:
            self.port = self._wait_for_port()
            self.url = f"http://127.0.0.1:{self.port}"
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def text(self) -> str:
        """What it has written so far."""
        return self._log.read_text(errors="replace")

    @property
    def resident(self) -> int:
        """Its resident memory, in bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def lines(self) -> list[dict[str, Any]]:
        """The log's lines, each of which has to be an object."""
        return [json.loads(line) for line in self.text.splitlines()]

    def terminate(self) -> None:
        """Sends it SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def wait_ready(self, path: str = "/health/ready") -> None:
        """Returns when it answers 200; raises `AssertionError` with its log when it does not."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                if httpx.get(self.url + path, timeout=5).status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"not ready:\n{self.text}")

    def _start(self, module: str, variables: dict[str, str], log: IO[bytes]) -> Process:
        return subprocess.Popen(
            [*python_command(), "-m", module], env=variables, stdout=log, stderr=subprocess.STDOUT
        )

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            match = re.search(r"listening on http://127\.0\.0\.1:(\d+)", self.text)
            if match:
                return int(match[1])
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(f"the service did not start:\n{self.text}")
