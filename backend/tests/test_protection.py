"""What protects the service: keys, limits, headers."""

import hashlib
import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from backend.tests.conftest import open_app, settings_for
from backend.tests.process import Running
from serving.web.security import Keys, new_key

PATH = "/api/v1/todos"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    path: Path = tmp_path_factory.mktemp("protection") / "todos.db"
    with Running(
        DATABASE_URL=f"sqlite:///{path}",
        REQUEST_MAX_BYTES="2048",
        HEADER_MAX_BYTES="4096",
        URL_MAX_BYTES="512",
        HEADER_TIMEOUT="0.5",
        BODY_TIMEOUT="0.5",
        WRITE_TIMEOUT="0.5",
    ) as running:
        running.wait_ready()
        yield running


def talk(server: Running, *parts: bytes, pause: float = 0, patience: float = 5) -> bytes:
    """Send parts with pauses between; everything that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=patience) as connection:
        answer = b""
        try:
            for part in parts:
                connection.sendall(part)
                # Once the server has spoken it listens no more; sending on would reset its words.
                if pause and select.select([connection], [], [], pause)[0] and part is not parts[0]:
                    break
            while chunk := connection.recv(65536):
                answer += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
        return answer


def status(answer: bytes) -> int:
    match = re.match(rb"HTTP/1\.1 (\d+)", answer)
    assert match, answer
    return int(match[1])


HEAD = b"POST /api/v1/todos HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def test_a_body_over_the_limit_is_a_413_before_it_is_read(server: Running) -> None:
    answer = talk(server, HEAD + b"Content-Length: 1000000\r\n\r\n")
    assert status(answer) == 413
    assert b"application/problem+json" in answer
    assert b"connection: close" in answer.lower()


def test_a_chunked_body_over_the_limit_is_a_413(server: Running) -> None:
    chunk = b"400\r\n" + b" " * 0x400 + b"\r\n"
    answer = talk(server, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk, chunk, chunk)
    assert status(answer) == 413


def test_a_chunked_body_within_the_limit_is_taken(server: Running) -> None:
    body = b'{"title":"x"}'
    answer = talk(
        server,
        HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
    )
    assert status(answer) == 201


def test_a_body_that_does_not_come_is_a_408(server: Running) -> None:
    began = time.monotonic()
    answer = talk(server, HEAD + b"Content-Length: 100\r\n\r\n{")
    assert status(answer) == 408
    assert time.monotonic() - began < 5


def test_a_body_that_drips_is_a_408(server: Running) -> None:
    began = time.monotonic()
    answer = talk(server, HEAD + b"Content-Length: 100\r\n\r\n", *[b" "] * 9, pause=0.1)
    assert status(answer) == 408
    assert time.monotonic() - began < 5


def test_a_header_that_drips_is_a_408(server: Running) -> None:
    began = time.monotonic()
    answer = talk(server, b"GET / HTTP/1.1\r\n", *[b"X-A: b\r\n"] * 9, pause=0.1)
    assert status(answer) == 408
    assert time.monotonic() - began < 5


def test_a_connection_that_says_nothing_is_closed(server: Running) -> None:
    began = time.monotonic()
    talk(server)
    assert 0.3 < time.monotonic() - began < 5


def test_a_second_header_on_a_connection_is_timed_too(server: Running) -> None:
    first = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    began = time.monotonic()
    answer = talk(server, first, b"GET / HTT", pause=0.1)
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b" 408 " in answer
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "request_line",
    [b"GET / HTTP/1.1\r\n" + b"X-A: " + b"b" * 5000, b"GET /" + b"a" * 5000],
    ids=["header", "request line"],
)
def test_a_header_over_the_limit_is_a_431(server: Running, request_line: bytes) -> None:
    assert status(talk(server, request_line)) == 431


def test_many_small_headers_count_together(server: Running) -> None:
    answer = talk(server, b"GET / HTTP/1.1\r\n", *[b"X-A: " + b"b" * 500 + b"\r\n"] * 10)
    assert status(answer) == 431


def test_a_long_url_is_a_414(server: Running) -> None:
    response = httpx.get(f"{server.url}{PATH}?q={'a' * 600}")
    assert response.status_code == 414
    assert response.headers["Content-Type"] == "application/problem+json"


def test_what_is_not_http_is_a_400_problem(server: Running) -> None:
    answer = talk(server, b"\x16\x03\x01\x02\x00")
    assert status(answer) == 400
    assert b"application/problem+json" in answer


def open_files(server: Running) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def test_a_client_that_does_not_read_is_dropped(server: Running) -> None:
    with httpx.Client(base_url=server.url) as client:
        for _ in range(100):
            client.post(PATH, json={"title": "x" * 200, "description": "y" * 1500})
        before = open_files(server)
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            request = b"GET /api/v1/todos?limit=100 HTTP/1.1\r\nHost: x\r\n\r\n"
            # More responses than the kernel's buffers hold.
            connection.sendall(request * 60)
            wait_for(lambda: open_files(server) > before)
            wait_for(lambda: open_files(server) == before)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 5 seconds"
        time.sleep(0.02)


def test_a_connection_too_many_gets_a_503_problem(tmp_path: Path) -> None:
    with Running(DATABASE_URL=f"sqlite:///{tmp_path}/x.db", MAX_CONNECTIONS="2") as server:
        server.wait_ready()
        with (
            socket.create_connection(("127.0.0.1", server.port)),
            socket.create_connection(("127.0.0.1", server.port)),
        ):
            answer = talk(server)
        wait_for(lambda: httpx.get(f"{server.url}/health/live").status_code == 200)
    assert status(answer) == 503
    assert b"application/problem+json" in answer
    assert b"retry-after: 1\r\n" in answer


def test_errors_of_the_framework_are_problems_too(server: Running) -> None:
    missing = httpx.get(f"{server.url}/nowhere")
    method = httpx.delete(f"{server.url}{PATH}")
    syntax = httpx.post(
        f"{server.url}{PATH}", content="{", headers={"Content-Type": "application/json"}
    )
    statuses = [one.status_code for one in (missing, method, syntax)]
    assert statuses == [404, 405, 422]
    for response in (missing, method, syntax):
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json()["status"] == response.status_code
    assert "POST" in method.headers["Allow"]


def test_every_response_has_security_headers(server: Running) -> None:
    for path in ("/health/live", "/nowhere", PATH, "/docs"):
        headers = httpx.get(server.url + path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "server" not in headers


def test_cors_is_closed_by_default(server: Running) -> None:
    response = httpx.get(server.url + PATH, headers={"Origin": "https://app.example.org"})
    assert "access-control-allow-origin" not in response.headers


async def test_cors_opens_for_the_origins_that_are_named(sqlite_url: str) -> None:
    async with open_app(sqlite_url, cors_origins=("https://app.example.org",)) as (_, client):
        preflight = await client.options(
            PATH,
            headers={
                "Origin": "https://app.example.org",
                "Access-Control-Request-Method": "PATCH",
                "Access-Control-Request-Headers": "if-match",
            },
        )
        foreign = await client.get(PATH, headers={"Origin": "https://other.example.org"})
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
    assert "access-control-allow-origin" not in foreign.headers


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_production_demands_a_key_except_for_health(sqlite_url: str) -> None:
    key, entry = new_key("web")
    options = {"environment": "prod", "auto_migrate": True, "api_keys": (entry,)}
    async with open_app(sqlite_url, **options) as (_, client):
        for path in (PATH, "/metrics"):
            refused = await client.get(path)
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            assert (await client.get(path, headers=bearer("wrong"))).status_code == 401
            assert (await client.get(path, headers={"Authorization": key})).status_code == 401
            assert (await client.get(path, headers=bearer(key))).status_code == 200
        assert (await client.get("/health/ready")).status_code == 200
        for path in ("/docs", "/openapi.json"):
            assert (await client.get(path)).status_code == 404


async def test_a_key_is_checked_before_the_body(sqlite_url: str) -> None:
    options = {"auth_required": True, "api_keys": (new_key("web")[1],)}
    async with open_app(sqlite_url, **options) as (_, client):
        assert (await client.post(PATH, json={"nonsense": 1})).status_code == 401


async def test_old_and_new_key_are_both_valid_during_rotation(sqlite_url: str) -> None:
    old, new = new_key("web"), new_key("web")
    options = {"auth_required": True, "api_keys": (old[1], new[1])}
    async with open_app(sqlite_url, **options) as (_, client):
        for key, _ in (old, new):
            assert (await client.get(PATH, headers=bearer(key))).status_code == 200
    async with open_app(sqlite_url, auth_required=True, api_keys=(new[1],)) as (_, client):
        assert (await client.get(PATH, headers=bearer(old[0]))).status_code == 401
        assert (await client.get(PATH, headers=bearer(new[0]))).status_code == 200


async def test_idempotency_keys_of_two_principals_do_not_meet(sqlite_url: str) -> None:
    web, app = new_key("web"), new_key("app")
    options = {"auth_required": True, "api_keys": (web[1], app[1])}
    async with open_app(sqlite_url, **options) as (_, client):
        ids = set()
        for key, _ in (web, app):
            headers = {**bearer(key), "Idempotency-Key": "1"}
            response = await client.post(PATH, json={"title": "x"}, headers=headers)
            ids.add(response.json()["id"])
    assert len(ids) == 2


def test_a_key_is_compared_with_every_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    import hmac

    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    key, entry = new_key("first")
    others = [new_key(f"other{n}")[1] for n in range(3)]
    keys = Keys(settings_for("sqlite:///x", api_keys=(entry, *others)))
    assert keys.principal(key.encode()) == "first"
    assert len(compared) == 4
    assert hashlib.sha256(key.encode()).digest() in compared


def test_docs_work_without_the_internet(server: Running) -> None:
    page = httpx.get(f"{server.url}/docs")
    assert page.status_code == 200
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 4
    for link in links:
        asset = httpx.get(f"{server.url}/{link}")
        assert asset.status_code == 200
        assert len(asset.content) > 50
    assert "<script>" not in page.text
    assert "<style" not in page.text
    assert httpx.get(f"{server.url}/docs/../settings.py").status_code == 404
    assert httpx.get(f"{server.url}/openapi.json").json()["info"]["title"] == "Todo"
