"""An AI service that answers as it is told to: well, late, with rubbish, or not at all.

It speaks the chat-completions API of OpenAI over HTTP/1.1, from threads of the process that made it
and takes the standard library only, so that it serves unit tests, a container's network namespace
and a developer's machine alike.
"""

import contextlib
import http
import json
import socket
import threading
from collections.abc import Callable
from io import BufferedReader
from typing import Any, Self

type Behaviour = Callable[["Exchange"], None]

_BACKLOG = 128
_JOIN_SECONDS = 5.0
# A client that stays connected without asking anything is not waited for for longer.
_IDLE_SECONDS = 300.0


class _Stopped(Exception):  # noqa: N818  (nobody sees it)
    """The stub ends while a behaviour is waiting."""


class Exchange:
    """One request, and the connection to answer it on.

    Attributes:
        header: the request line and the header's lines, as they came.
        body: the request's body.
        stub: the server that it came to.
        keeps: whether another request may follow on the connection.
    """

    def __init__(
        self,
        header: str,
        body: bytes,
        connection: socket.socket,
        stub: "AiStub",
        stopped: threading.Event,
    ) -> None:
        self.header = header
        self.body = body
        self.stub = stub
        self.keeps = False
        self._connection = connection
        self._stopped = stopped

    @property
    def json(self) -> dict[str, Any]:
        """The body's document; raises `ValueError` where it is none."""
        document: dict[str, Any] = json.loads(self.body)
        return document

    def send(self, raw: bytes) -> None:
        """Sends bytes as they are; what is sent so ends with the connection."""
        self.keeps = False
        self._connection.sendall(raw)

    def respond(self, body: bytes, status: int = 200, *headers: str) -> None:
        """Sends a whole response; `headers` are lines."""
        try:
            reason = http.HTTPStatus(status).phrase
        except ValueError:
            reason = "Unknown"
        lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}", *headers, "", ""]
        self.send("\r\n".join(lines).encode() + body)
        self.keeps = "connection: close" not in self.header.lower()

    def wait(self, seconds: float) -> None:
        """Lets time pass; a stub that is stopped meanwhile drops the exchange."""
        if self._stopped.wait(seconds):
            raise _Stopped


class AiStub:
    """The server; use it as a context, or `start` and `stop` it again and again.

    Attributes:
        behaviour: answers chat completions from now on; every other request is answered well.
        exchanges: the chat completions that were asked for, in the order they came.
        running: how many of them a behaviour is answering now.
        most_at_once: the most that there ever were of these.
    """

    def __init__(
        self,
        address: str = "127.0.0.1",
        *,
        behaviour: Behaviour | None = None,
        heard: Callable[[Exchange], None] | None = None,
    ) -> None:
        """Listens on a free port of `address`; `heard` is told of every chat completion."""
        self.behaviour = behaviour or by_example
        self.exchanges: list[Exchange] = []
        self.running = 0
        self.most_at_once = 0
        self._heard = heard
        self._address = (address, 0)
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._stopped = threading.Event()
        self._acceptor = threading.Thread()
        self._connections: dict[socket.socket, threading.Thread] = {}

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

    @property
    def calls(self) -> int:
        """How many chat completions were asked for."""
        return len(self.exchanges)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    def start(self) -> None:
        """Listens, after a `stop` where it listened before."""
        listener = socket.create_server(self._address, backlog=_BACKLOG)
        self._address = listener.getsockname()[:2]
        self._listener = listener
        self._stopped = threading.Event()
        self._acceptor = threading.Thread(
            target=self._accept, args=(listener, self._stopped), name="ai-stub", daemon=True
        )
        self._acceptor.start()

    def stop(self) -> None:
        """Refuses connections from now on, and breaks off those there are."""
        if self._listener is None:
            return
        self._stopped.set()
        # accept(2) returns when its socket is shut down, and not when it is closed.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(_JOIN_SECONDS)
        self._listener.close()
        self._listener = None
        with self._lock:
            served = dict(self._connections)
        for connection in served:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in served.values():
            thread.join(_JOIN_SECONDS)

    def _accept(self, listener: socket.socket, stopped: threading.Event) -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(
                target=self._serve, args=(connection, stopped), name="ai-stub", daemon=True
            )
            with self._lock:
                self._connections[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket, stopped: threading.Event) -> None:
        connection.settimeout(_IDLE_SECONDS)
        try:
            # A client may be gone at any time, and is when it tests that.
            with (
                contextlib.suppress(OSError, EOFError, _Stopped),
                connection.makefile("rb") as file,
            ):
                while self._answer(connection, file, stopped):
                    pass
        finally:
            with self._lock:
                del self._connections[connection]
            connection.close()

    def _answer(
        self, connection: socket.socket, file: BufferedReader, stopped: threading.Event
    ) -> bool:
        """Answers one request; whether another one may follow."""
        header, length = _read_header(file)
        exchange = Exchange(header, _read(file, length), connection, self, stopped)
        if not header.startswith("POST"):
            exchange.respond(b'{"data": []}', 200, "Content-Type: application/json")
            return exchange.keeps
        with self._lock:
            self.exchanges.append(exchange)
            self.running += 1
            self.most_at_once = max(self.most_at_once, self.running)
        try:
            if self._heard is not None:
                self._heard(exchange)
            self.behaviour(exchange)
        finally:
            with self._lock:
                self.running -= 1
        return exchange.keeps


def _read_header(file: BufferedReader) -> tuple[str, int]:
    """A request's header and the length of its body; raises `EOFError` where none follows."""
    lines: list[str] = []
    length = 0
    while line := file.readline().decode("latin-1"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            length = int(value)
        lines.append(line)
        if line == "\r\n":
            return "".join(lines), length
    raise EOFError


def _read(file: BufferedReader, length: int) -> bytes:
    body = file.read(length)
    if len(body) < length:
        raise EOFError
    return body


def completion(content: str) -> bytes:
    """The document of a chat completion whose message has this content."""
    message = {"role": "assistant", "content": content}
    return json.dumps({"choices": [{"message": message}]}).encode()


def by_example(exchange: Exchange) -> None:
    """Answers with the first example of the JSON schema that the request wants kept."""
    try:
        wanted = exchange.json["response_format"]["json_schema"]["schema"]
        answer = wanted["examples"][0]
    except (ValueError, LookupError, TypeError):
        reason = "this AI service answers with the example of the schema, and there is none"
        problem = {"error": {"message": reason, "type": "invalid_request_error"}}
        exchange.respond(json.dumps(problem).encode(), 400)
    else:
        says(answer)(exchange)


def says(answer: object) -> Behaviour:
    """Answers well, with this document, or with a text as it is."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return responds(completion(text), 200, "Content-Type: application/json")


def responds(body: bytes, status: int = 200, *headers: str) -> Behaviour:
    """Sends a whole response; `headers` are lines."""

    def behave(exchange: Exchange) -> None:
        exchange.respond(body, status, *headers)

    return behave


def sends(raw: bytes) -> Behaviour:
    """Sends bytes as they are, then closes."""

    def behave(exchange: Exchange) -> None:
        exchange.send(raw)

    return behave


def after(seconds: float, then: Behaviour) -> Behaviour:
    """Lets time pass first."""

    def behave(exchange: Exchange) -> None:
        exchange.wait(seconds)
        then(exchange)

    return behave


def never(exchange: Exchange) -> None:
    """Does not answer as long as anybody waits."""
    exchange.wait(_IDLE_SECONDS)


def one_after_another(*behaviours: Behaviour) -> Behaviour:
    """A behaviour for each call in turn, the last for all that follow."""

    def behave(exchange: Exchange) -> None:
        number = min(exchange.stub.calls, len(behaviours)) - 1
        behaviours[number](exchange)

    return behave
