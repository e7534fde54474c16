"""docker-registry from Debian, on loopback, with TLS and a password."""

import base64
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

USER, PASSWORD = "pusher", "secret"
# The password by bcrypt, which is all that the registry takes. It checks it at every request: the
# cost is the least that bcrypt has.
_HTPASSWD = f"{USER}:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"
_LOADERS = {"x86_64": "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"}
# Far more than a start takes on a busy machine: what is awaited is the answer.
_PATIENCE = 120


def program(name: str, folder: Path) -> str:
    """A command that runs a program of the tests' own Debian packages by their own loader."""
    root = Path(os.environ["PROGRAMS"]).absolute()
    loader = root / _LOADERS[os.uname().machine]
    script = folder / name
    # A program of a moment sweeps its memory (Go) for longer than it needs it.
    script.write_text(
        "#!/bin/sh\nexport GOGC=400\n"
        f'exec {loader} --library-path {loader.parent} {root}/usr/bin/{name} "$@"\n'
    )
    script.chmod(0o755)
    return str(script)


def certificate(folder: Path) -> None:
    """Makes cert.pem, which is its own authority, and key.pem for 127.0.0.1."""
    if not shutil.which("openssl"):
        raise RuntimeError(
            "openssl is not in PATH; expected the builder root's, or apt-get install"
        )
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", "3650", "-subj", "/CN=registry"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )


def credentials(folder: Path, *places: str, password: str = PASSWORD) -> Path:
    """A folder for DOCKER_CONFIG."""
    folder.mkdir(exist_ok=True)
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    (folder / "config.json").write_text(
        json.dumps({"auths": {place: {"auth": auth} for place in places}})
    )
    return folder


@dataclass
class Registry:
    """A registry; `folder` holds its certificate, its configuration and what was pushed."""

    folder: Path
    port: int = 0
    readonly: bool = False
    # Bytes of a disk of its own, in a mount namespace; 0 for the folder.
    disk: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def place(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def trust(self) -> dict[str, str]:
        """What makes a program trust it and nobody else, in the environment.

        Without a folder of its own each Go program reads all authorities of the machine, at every
        start: a hundred of them take half of the time that crane takes.
        """
        none = self.folder / "authorities"
        none.mkdir(exist_ok=True)
        return {"SSL_CERT_FILE": str(self.folder / "cert.pem"), "SSL_CERT_DIR": str(none)}

    def blobs(self) -> dict[str, int]:
        """The sizes of all blobs, manifests among them, by their digests."""
        blobs = self.folder / "storage/docker/registry/v2/blobs/sha256"
        return {file.parent.name: file.stat().st_size for file in blobs.glob("*/*/data")}

    def repository(self, name: str) -> Path:
        """The folder of what a repository lists; blobs are all repositories' together."""
        return self.folder / "storage/docker/registry/v2/repositories" / name

    @contextmanager
    def tampered(self) -> Iterator[None]:
        """Its disk is in other hands: what was signed is another, and the signature the old one."""
        kept: dict[Path, bytes] = {}
        for file in (self.folder / "storage/docker/registry/v2/blobs/sha256").glob("*/*/data"):
            content = file.read_bytes()
            if b"dsseEnvelope" in content:
                kept[file] = content
                bundle = json.loads(content)
                payload = bundle["dsseEnvelope"]["payload"]
                bundle["dsseEnvelope"]["payload"] = payload[:-8] + "AAAA" + payload[-4:]
                file.write_text(json.dumps(bundle))
        assert kept
        try:
            yield
        finally:
            for file, content in kept.items():
                file.write_bytes(content)

    def uploads(self) -> int:
        """How many uploads of blobs were begun since the start."""
        return (self.folder / "log").read_text().count('"POST /v2/')

    def start(self) -> None:
        """Starts it, and waits until it asks for a password."""
        command = program("docker-registry", self.folder)
        for attempt in range(5):
            # Another program may have taken the port meanwhile.
            if attempt or not self.port:
                self.port = _free()
            (self.folder / "htpasswd").write_text(_HTPASSWD)
            (self.folder / "config.json").write_text(json.dumps(self._configuration()))
            with (self.folder / "log").open("wb") as log:
                self._process = subprocess.Popen(
                    [*self._mounted(), command, "serve", str(self.folder / "config.json")],
                    stdout=log,
                    stderr=log,
                    env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
                )
            if self._ready():
                return
            self.stop()
        raise RuntimeError(f"the registry does not start: {(self.folder / 'log').read_text()}")

    def _mounted(self) -> list[str]:
        if not self.disk:
            return []
        storage = self.folder / "storage"
        storage.mkdir(exist_ok=True)
        mount = f'mount -t tmpfs -o size={self.disk} none "{storage}" && exec "$@"'
        return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]

    def enlarge(self, size: int) -> None:
        """Gives the running registry's own disk another size, in bytes."""
        self._inside("mount", "-o", f"remount,size={size}", str(self.folder / "storage"))

    def mend(self) -> None:
        """Removes the links that it wrote when its disk was full: they are empty."""
        links = ["-name", "link", "-size", "0", "-print", "-delete"]
        self._inside("find", str(self.folder / "storage"), *links)

    def _inside(self, *command: str) -> None:
        assert self._process is not None
        process = str(self._process.pid)
        inside = ["nsenter", "--target", process, "--user", "--mount", "--preserve-credentials"]
        subprocess.run([*inside, *command], check=True, capture_output=True)

    def _configuration(self) -> dict[str, object]:
        return {
            "version": "0.1",
            "log": {"level": "warn"},
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "storage")},
                "maintenance": {"readonly": {"enabled": self.readonly}},
            },
            "auth": {"htpasswd": {"realm": "test", "path": str(self.folder / "htpasswd")}},
            "http": {
                "addr": self.place,
                "tls": {
                    "certificate": str(self.folder / "cert.pem"),
                    "key": str(self.folder / "key.pem"),
                },
            },
        }

    def _ready(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.folder / "cert.pem"))
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            assert self._process is not None
            if self._process.poll() is not None:
                return False
            try:
                urllib.request.urlopen(f"https://{self.place}/v2/", timeout=10, context=context)
            except urllib.error.HTTPError as error:
                error.close()
                return error.code == 401
            except OSError:
                time.sleep(0.05)
        return False

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends it; what was pushed stays."""
        if self._process:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None


def _free() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    """A running registry in a folder that is there already."""
    certificate(folder)
    found = Registry(folder)
    found.start()
    try:
        yield found
    finally:
        found.stop()


class _Proxy:
    """Passes on what comes, and counts what clients send."""

    def __init__(self, port: int, limit: int, then: Callable[[], None]) -> None:
        self._port = port
        self._limit = limit
        self._then = then
        self._sent = 0
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def accept(self, listening: socket.socket) -> None:
        """Serves until the listening socket is shut down."""
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._port))
                except OSError:
                    client.close()
                    continue
                self._sockets += [client, server]
                self._start(client, server, counted=True)
                self._start(server, client, counted=False)

    def close(self) -> None:
        """Hangs up on everybody."""
        for each in self._sockets:
            _hang_up(each)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _start(self, source: socket.socket, target: socket.socket, *, counted: bool) -> None:
        thread = threading.Thread(target=self._pump, args=(source, target, counted))
        self._threads.append(thread)
        thread.start()

    def _pump(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while block := source.recv(1 << 16):
                if counted:
                    self._count(len(block))
                target.sendall(block)
        _hang_up(source)
        _hang_up(target)

    def _count(self, size: int) -> None:
        with self._lock:
            before = self._sent
            after = self._sent = before + size
        if before < self._limit <= after:
            self._then()


def _hang_up(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)


@contextmanager
def cut(port: int, limit: int, then: Callable[[], None]) -> Iterator[int]:
    """The port of a proxy that calls once when clients have sent so many bytes."""
    proxy = _Proxy(port, limit, then)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        acceptor = threading.Thread(target=proxy.accept, args=(listening,))
        acceptor.start()
        try:
            yield listening.getsockname()[1]
        finally:
            _hang_up(listening)
            acceptor.join()
            proxy.close()


# What a proxy answers in place of the registry: status and Retry-After; or nothing, to pass it on.
Fault = Callable[[str, str], tuple[int, str] | None]


def _body(handler: http.server.BaseHTTPRequestHandler) -> bytes:
    if "chunked" not in handler.headers.get("Transfer-Encoding", ""):
        return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    found = b""
    while size := int(handler.rfile.readline().split(b";")[0], 16):
        found += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return found


@contextmanager
def faulty(behind: Registry, fault: Fault) -> Iterator[str]:
    """Host and port of a proxy, without TLS, that answers some requests itself."""
    context = ssl.create_default_context(cafile=str(behind.folder / "cert.pem"))

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = _body(self)
            if found := fault(self.command, self.path):
                status, after = found
                said = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"too many"}]}'
                self._send(status, [("Retry-After", after)] if after else [], said)
                return
            server = http.client.HTTPSConnection("127.0.0.1", behind.port, context=context)
            headers = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in {"transfer-encoding", "content-length", "connection"}
            }
            server.request(self.command, self.path, body, headers | {"X-Forwarded-Proto": "http"})
            response = server.getresponse()
            kept = [
                (name, value)
                for name, value in response.getheaders()
                if name.lower() not in {"transfer-encoding", "content-length", "connection"}
            ]
            self._send(response.status, kept, response.read(), response.getheader("Content-Length"))
            server.close()

        def _send(
            self, status: int, headers: list[tuple[str, str]], body: bytes, size: str | None = None
        ) -> None:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", size or str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            del arguments

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = answer  # noqa: N815

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
