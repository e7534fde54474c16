"""A collector of traces that is not ours: rotel, and behind it what keeps all that it hands on.

rotel reads OTLP with a decoder of its own and writes it anew. So what comes out of it is what other
collectors would make of what the service sends.
"""

import gzip
import importlib.util
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tools.dev.postgres import free_port

_LOADER = "usr/lib64/ld-linux-x86-64.so.2"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_SECONDS = 60.0


class CollectorError(Exception):
    """It does not start, or hands on nothing; the text has its log."""


class _Behind(ThreadingHTTPServer):
    """What rotel is told to send to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[ExportTraceServiceRequest] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Behind

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        self.server.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class Collector:
    """rotel on a free port of 127.0.0.1, to the end of the block.

    Attributes:
        url: of what takes OTLP over HTTP.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        """Take the libraries of an unpacked Debian root, and a folder for scratch files."""
        self._root = root.absolute()
        self._folder = folder
        self._behind = _Behind()
        self._thread = threading.Thread(target=self._behind.serve_forever, args=(0.02,))
        self._port, self._grpc_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._thread.start()
        command = [
            str(self._root / _LOADER),
            "--library-path",
            str(self._root / _LIBRARIES),
            str(_program()),
            "start",
            f"--otlp-http-endpoint=127.0.0.1:{self._port}",
            f"--otlp-grpc-endpoint=127.0.0.1:{self._grpc_port}",
            "--exporter=otlp",
            f"--otlp-exporter-endpoint=http://127.0.0.1:{self._behind.server_port}",
            "--otlp-exporter-protocol=http",
        ]
        with (self._folder / "rotel.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env={}, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            self._until(self._listens, "did not listen")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(_SECONDS)
        self._behind.shutdown()
        self._thread.join()
        self._behind.server_close()

    def spans(self, service: str, count: int) -> list[Span]:
        """The spans of a service, once there are so many.

        Raises:
            CollectorError: there are not within a minute.
        """

        def found() -> list[Span]:
            return [
                span
                for request in list(self._behind.received)
                for resource in request.resource_spans
                if _name(resource.resource.attributes) == service
                for scope in resource.scope_spans
                for span in scope.spans
            ]

        self._until(lambda: len(found()) >= count, f"did not hand on {count} spans of {service}")
        return found()

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            raise CollectorError(f"rotel ended with {self._process.returncode}:\n{self._log()}")
        try:
            socket.create_connection(("127.0.0.1", self._port), 1).close()
        except OSError:
            return False
        return True

    def _until(self, condition: Any, failing: str) -> None:
        deadline = time.monotonic() + _SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise CollectorError(f"rotel {failing} within {_SECONDS:g} s:\n{self._log()}")
            time.sleep(0.05)

    def _log(self) -> str:
        return (self._folder / "rotel.log").read_text(errors="replace")


def _program() -> Path:
    spec = importlib.util.find_spec("rotel")
    if spec is None or spec.origin is None:
        raise CollectorError("rotel is not installed: @collector//rotel has to be in deps")
    return Path(spec.origin).with_name("rotel-agent")


def _name(attributes: Any) -> str:
    """The `service.name` of a resource."""
    return next((one.value.string_value for one in attributes if one.key == "service.name"), "")
