"""An image registry in memory: as much of the OCI distribution-spec as one push and tag takes."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_BLOB = re.compile(r"/v2/.+/blobs/(sha256:[0-9a-f]{64})")
_MANIFEST = re.compile(r"/v2/.+/manifests/([^/]+)")


class Registry:
    """Serves on 127.0.0.1 as long as the context lasts.

    `blobs` maps digests, and `manifests` tags and digests, to contents. `writes` lists what the
    manifests were put under, in order.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.writes: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Says nothing: a test's output is its own."""

            def do_HEAD(self) -> None:  # noqa: N802
                self.do_GET()

            def do_GET(self) -> None:  # noqa: N802
                path = urlsplit(self.path).path
                if path == "/v2/":
                    self._answer(200)
                elif (match := _BLOB.fullmatch(path)) and match[1] in registry.blobs:
                    self._answer(200, registry.blobs[match[1]])
                elif (match := _MANIFEST.fullmatch(path)) and match[1] in registry.manifests:
                    kind, content = registry.manifests[match[1]]
                    self._answer(200, content, {"Content-Type": kind})
                else:
                    self._answer(404)

            def do_POST(self) -> None:  # noqa: N802
                self._answer(202, headers={"Location": f"http://{registry.name}/v2/x/upload"})

            def do_PATCH(self) -> None:  # noqa: N802
                content = self._body()
                digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
                registry.blobs[digest] = content
                self._answer(202, headers={"Location": f"http://{registry.name}/v2/x/upload"})

            def do_PUT(self) -> None:  # noqa: N802
                content = self._body()
                if match := _MANIFEST.fullmatch(urlsplit(self.path).path):
                    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
                    stored = (self.headers["Content-Type"], content)
                    registry.manifests |= {match[1]: stored, digest: stored}
                    registry.writes.append(match[1])
                else:
                    (digest,) = parse_qs(urlsplit(self.path).query)["digest"]
                    assert digest in registry.blobs
                self._answer(201, headers={"Docker-Content-Digest": digest})

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

        return Handler
