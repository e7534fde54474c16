"""A registry that serves the blobs of layouts: what pulling takes of the distribution-spec."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@contextmanager
def registry(layout: Path, asked: list[str] | None = None) -> Iterator[str]:
    """Serves a layout as PLACE/todo:latest; yields the place. `asked` gets each path."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            if asked is not None and self.command == "GET":
                asked.append(self.path)
            root = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
            name = self.path.rpartition("/")[2].replace("latest", root)
            file = layout / "blobs" / name.replace(":", "/")
            known = self.path.startswith("/v2/todo/") and file.is_file()
            content = file.read_bytes() if known else b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'
            self.send_response(200 if known or self.path == "/v2/" else 404)
            kind = "application/json"
            if "/manifests/" in self.path and known:
                kind = json.loads(content).get("mediaType", kind)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
