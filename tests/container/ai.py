"""An AI service that answers as it is told to: well, late, with rubbish, or not at all."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

SUGGESTIONS = {"subtasks": ["find the can", "fill it"], "priority": "high", "due": None}


@dataclass
class Behaviour:
    """What the next answers are: a model's `content`, or else any `body`; `delay` in seconds."""

    status: int = 200
    body: bytes | None = None
    content: str = field(default_factory=lambda: json.dumps(SUGGESTIONS))
    delay: float = 0.0


class AiStub:
    """The server, on an address of its own; use it as a context. `calls` counts what came."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.behaviour = Behaviour()
        self.calls = 0
        self._released = threading.Event()
        self._address = (address, 0)
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The base URL, the same after a restart."""
        host, port = self._address
        return f"http://{host}:{port}/v1"

    def start(self) -> None:
        """Listens again after a `stop`."""
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(200, b'{"data": []}')

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                stub.calls += 1
                behaviour = stub.behaviour
                if behaviour.delay:
                    stub._released.wait(behaviour.delay)
                message = {"role": "assistant", "content": behaviour.content}
                document = json.dumps({"choices": [{"message": message}]}).encode()
                self._answer(behaviour.status, behaviour.body or document)

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._released.clear()
        self._server = ThreadingHTTPServer(self._address, Handler)
        self._address = (self._address[0], self._server.server_port)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Refuses connections from now on."""
        if self._server is not None:
            self._released.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None
