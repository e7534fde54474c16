"""A load balancer before the replicas: haproxy, as one would configure it in production."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tests.container import probe
from tests.container.needs import program

_ADDRESS = "127.0.2.1:8080"
_START_SECONDS = 10.0
_STOP_SECONDS = 10.0

# `retries` is about connections that were refused: a request that was sent is never sent again.
# A replica drains for 5 s; three failed checks take it out of rotation within four. Fewer, or an
# answer that is merely slow, are no reason: on a busy machine both replicas could be late at once.
# Idle connections to a replica end before the replica ends them (KEEP_ALIVE_TIMEOUT, 75 s).
_CONFIGURATION = """\
global
    maxconn 256
    nbthread 1

defaults
    mode http
    retries 3
    option redispatch 1
    retry-on conn-failure
    timeout check 10s
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    timeout http-keep-alive 60s

frontend todo
    bind {address}
    default_backend replicas

backend replicas
    balance roundrobin
    http-reuse safe
    option httpchk
    http-check send meth GET uri /health/ready ver HTTP/1.1 hdr Host balancer
    http-check expect status 200
    default-server check inter 1s fall 3 rise 1 pool-purge-delay 5s
{servers}
"""


def configuration(replicas: Sequence[str]) -> str:
    """What haproxy is told about replicas, given by URL."""
    servers = [
        f"    server replica-{number} {urlsplit(url).netloc}"
        for number, url in enumerate(replicas, 1)
    ]
    return _CONFIGURATION.format(address=_ADDRESS, servers="\n".join(servers))


class Balancer:
    """haproxy before replicas that are given by URL. Use it as a context."""

    def __init__(self, folder: Path, replicas: Sequence[str]) -> None:
        """`folder` takes its configuration and its log."""
        self.url = f"http://{_ADDRESS}"
        self._log = folder / "haproxy.log"
        self._file = folder / "haproxy.cfg"
        self._file.write_text(configuration(replicas))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [program("haproxy", "haproxy"), "-db", "-f", str(self._file)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + _START_SECONDS
        while self.health() != 200:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError(f"haproxy passes no request on to a replica:\n{self.log}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @property
    def log(self) -> str:
        """What it has written so far: replicas that come and go, for messages."""
        return self._log.read_text(errors="replace")

    def health(self) -> int:
        """The status code of readiness behind it; 0 where nothing answers."""
        return probe.status(f"{self.url}/health/ready")
