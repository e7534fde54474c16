"""The service under attack: short limits, and what has to hold afterwards."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx

from backend.tests.process import Running

TODOS = "/api/v1/todos"
END_SECONDS = 15

# Short times, so that the tests are; sizes small enough to be passed in one segment.
LIMITS = {
    "REQUEST_MAX_BYTES": "4096",
    "HEADER_MAX_BYTES": "4096",
    "URL_MAX_BYTES": "1024",
    "HEADER_TIMEOUT": "0.5",
    "BODY_TIMEOUT": "0.5",
    "WRITE_TIMEOUT": "0.5",
    "KEEP_ALIVE_TIMEOUT": "1",
    "WS_PING_INTERVAL": "1",
    "WS_PING_TIMEOUT": "1",
}


@contextlib.contextmanager
def attacked(folder: Path, **variables: str) -> Iterator[Running]:
    """A server with short limits, which has to be well at the end.

    It then answers its probes, ends within its grace on SIGTERM with exit code 0, and has logged
    no traceback, error or warning.
    """
    settings = {"DATABASE_URL": f"sqlite:///{folder}/todos.db", **LIMITS, **variables}
    with Running(**settings) as server:
        server.wait_ready()
        yield server
        assert httpx.get(f"{server.url}/health/live", timeout=5).status_code == 200
        end(server)


def end(server: Running) -> None:
    """End the server, and hold that it went well."""
    server.terminate()
    code = server.process.wait(END_SECONDS)
    assert code == 0, server.text
    found = complaints(server)
    assert not found, found


def complaints(server: Running) -> list[dict[str, Any]]:
    """Lines of the log that a server which is merely attacked has no reason to write."""
    return [
        line
        for line in server.lines()
        if line.get("level") in {"WARNING", "ERROR", "CRITICAL", "warning", "error", "critical"}
        or "exception" in line
    ]


def open_files(server: Running) -> int:
    """How many descriptors the process has."""
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def memory(server: Running) -> int:
    """Bytes of physical memory that the process has now."""
    return _status(server, "VmRSS")


def peak(server: Running) -> int:
    """The most bytes of physical memory it has had."""
    return _status(server, "VmHWM")


def _status(server: Running, name: str) -> int:
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {name} of the process")


class Watch:
    """Asks for liveness all the time, on one connection, and remembers the longest wait."""

    def __init__(self, server: Running) -> None:
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.longest = 0.0
        self.looks = 0
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        with httpx.Client(base_url=self._server.url, timeout=30) as client:
            while not self._stop.is_set():
                began = time.monotonic()
                try:
                    status = client.get("/health/live").status_code
                    if status != 200:
                        self.failures.append(str(status))
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                self.looks += 1
                self.longest = max(self.longest, time.monotonic() - began)
                time.sleep(0.005)
