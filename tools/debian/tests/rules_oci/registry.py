"""An image registry in memory: as much of the OCI distribution-spec as a push and a tag take."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_BLOB = re.compile(r"/v2/.+/blobs/(sha256:[0-9a-f]{64})")
_MANIFEST = re.compile(r"/v2/.+/manifests/([^/]+)")


class Registry(ThreadingHTTPServer):
    """Serves on 127.0.0.1 as long as the context lasts.

    `blobs` maps digests, and `manifests` tags and digests, to contents. `writes` lists what the
    manifests were put under, in order.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.writes: list[str] = []
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def put(self, name: str, kind: str, content: bytes) -> str:
        """Keeps a manifest under its name and its digest; returns the digest."""
        digest = _digest(content)
        self.manifests |= {name: (kind, content), digest: (kind, content)}
        self.writes.append(name)
        return digest


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing: a test's output is its own."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/v2/":
            self._answer(200)
        elif (match := _BLOB.fullmatch(path)) and match[1] in self.server.blobs:
            self._answer(200, self.server.blobs[match[1]])
        elif (match := _MANIFEST.fullmatch(path)) and match[1] in self.server.manifests:
            kind, content = self.server.manifests[match[1]]
            self._answer(200, content, {"Content-Type": kind})
        else:
            self._answer(404)

    def do_POST(self) -> None:
        self._answer(202, headers=self._upload())

    def do_PATCH(self) -> None:
        content = self._body()
        self.server.blobs[_digest(content)] = content
        self._answer(202, headers=self._upload())

    def do_PUT(self) -> None:
        content = self._body()
        url = urlsplit(self.path)
        if match := _MANIFEST.fullmatch(url.path):
            digest = self.server.put(match[1], self.headers["Content-Type"], content)
        else:
            (digest,) = parse_qs(url.query)["digest"]
            if digest not in self.server.blobs:
                self._answer(400)
                return
        self._answer(201, headers={"Docker-Content-Digest": digest})

    def _upload(self) -> dict[str, str]:
        return {"Location": f"http://{self.server.host}/v2/any/blobs/uploads/1"}

    def _body(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(
        self, code: int, content: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
