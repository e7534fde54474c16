"""From start to end: signals, draining, workers, and what is imported meanwhile."""

import asyncio
import os
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest

from serving.tests.process import ColdStarted, Running, imported, packages, run
from serving.tests.service import PATH


def test_a_signal_before_the_service_is_ready_ends_it_too(sqlite_url: str) -> None:
    with ColdStarted(DATABASE_URL=sqlite_url) as server:
        server.terminate()
        assert server.process.wait(10) == 0


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_with_0(sqlite_url: str, sig: signal.Signals) -> None:
    with Running(DATABASE_URL=sqlite_url) as server:
        server.wait_ready()
        server.process.send_signal(sig)
        assert server.process.wait(5) == 0


def test_while_draining_the_service_is_unready_but_serves(sqlite_url: str) -> None:
    with Running(DATABASE_URL=sqlite_url, DRAIN_SECONDS="1.5") as server:
        server.wait_ready()
        began = time.monotonic()
        server.terminate()
        time.sleep(0.2)
        ready = httpx.get(f"{server.url}/health/ready")
        notes = httpx.get(server.url + PATH)
        assert (ready.status_code, ready.json()["status"]) == (503, "draining")
        assert (notes.status_code, notes.headers["Connection"]) == (200, "close")
        assert server.process.wait(10) == 0
        assert 1.4 < time.monotonic() - began < 5


def test_a_second_signal_ends_the_process_at_once(sqlite_url: str) -> None:
    with Running(DATABASE_URL=sqlite_url, DRAIN_SECONDS="60") as server:
        server.wait_ready()
        server.terminate()
        time.sleep(0.3)
        server.terminate()
        assert server.process.wait(2) == 128 + signal.SIGTERM


def slow_request(server: Running) -> socket.socket:
    """A request in flight: its body is still to come."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    connection.sendall(
        b"POST /notes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b'Content-Length: 12\r\n\r\n{"text"'
    )
    return connection


def test_a_request_in_flight_is_finished(sqlite_url: str) -> None:
    with Running(DATABASE_URL=sqlite_url) as server:
        server.wait_ready()
        with slow_request(server) as connection:
            time.sleep(0.2)
            server.terminate()
            time.sleep(0.5)
            connection.sendall(b':"x"}')
            assert connection.recv(100).startswith(b"HTTP/1.1 201 ")
        assert server.process.wait(5) == 0


@pytest.mark.complains("timeout graceful shutdown exceeded", "CancelledError")
def test_a_request_that_outlasts_the_grace_does_not_hold_the_exit_up(sqlite_url: str) -> None:
    with Running(DATABASE_URL=sqlite_url, GRACE_SECONDS="1") as server:
        server.wait_ready()
        with slow_request(server):
            time.sleep(0.2)
            server.terminate()
            assert server.process.wait(5) == 0


async def test_sigterm_under_load_fails_no_request(sqlite_url: str) -> None:
    with Running(DATABASE_URL=sqlite_url, DRAIN_SECONDS="1") as server:
        server.wait_ready()
        statuses: list[int] = []
        errors: list[Exception] = []
        in_rotation = True

        async def client(number: int) -> None:
            # As a load balancer does: until it sees the replica unready, and no kept-alive
            # connection is used again after `Connection: close`.
            async with httpx.AsyncClient(base_url=server.url, timeout=10) as http:
                while in_rotation:
                    try:
                        if number % 2:
                            response = await http.post(PATH, json={"text": "x"})
                        else:
                            response = await http.get(PATH)
                    except httpx.HTTPError as error:
                        errors.append(error)
                        return
                    statuses.append(response.status_code)

        async def load_balancer() -> None:
            nonlocal in_rotation
            async with httpx.AsyncClient(base_url=server.url) as http:
                while (await http.get("/health/ready")).status_code == 200:
                    await asyncio.sleep(0.05)
            in_rotation = False

        work = [asyncio.create_task(client(number)) for number in range(8)]
        watch = asyncio.create_task(load_balancer())
        async with asyncio.timeout(30):
            while len(statuses) < 50:
                await asyncio.sleep(0.01)
        before = len(statuses)
        server.terminate()
        await asyncio.gather(*work, watch)
        assert await asyncio.to_thread(server.process.wait, 10) == 0
    assert errors == []
    assert set(statuses) == {200, 201}
    assert len(statuses) > before


def test_a_port_that_is_taken_is_told_in_one_line(sqlite_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run(HOST="127.0.0.1", PORT=port, DATABASE_URL=sqlite_url)
    assert done.returncode == 1
    assert done.stderr == (
        f"cannot listen on 127.0.0.1:{port}: [Errno 98] Address already in use. "
        "Set HOST or PORT to another\n"
    )


def test_idle_memory_stays_within_its_budget(sqlite_url: str) -> None:
    with ColdStarted(DATABASE_URL=sqlite_url) as server:
        server.wait_ready()
        for _ in range(50):
            httpx.get(server.url + PATH)
        assert server.resident < 110_000 * 1024


def test_the_server_imports_nothing_that_no_request_needs() -> None:
    found = packages(imported("import serving.tests.sample.app, serving.process.server"))
    assert {"fastapi", "sqlalchemy", "uvicorn"} <= found
    rare = {"httpx", "alembic", "mako", "websockets", "asyncpg", "aiosqlite", "fastapi_swagger"}
    assert found & rare == set()


def test_the_process_that_supervises_imports_neither_the_application_nor_the_metrics() -> None:
    found = packages(imported("import serving.tests.sample.__main__, serving.process.supervisor"))
    heavy = {"fastapi", "prometheus_client", "sqlalchemy", "starlette", "uvicorn"}
    assert found & heavy == set()


@pytest.mark.postgresql
@pytest.mark.complains("worker [0-9]+ ended with -9; starting another")
def test_several_workers_share_the_port_and_the_metrics(postgres_url: str) -> None:
    with Running(DATABASE_URL=postgres_url, WORKERS="2") as server:
        server.wait_ready()
        for _ in range(40):
            assert httpx.get(server.url + PATH).status_code == 200
        line = f'http_requests_total{{method="GET",route="{PATH}",status="200"}} 40.0'
        deadline = time.monotonic() + 15
        # A worker counts a request when its answer is sent, and the other may be asked before.
        while line not in (counted := httpx.get(f"{server.url}/metrics").text):
            assert time.monotonic() < deadline, counted
            time.sleep(0.05)
        workers = children(server.process.pid)
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        deadline = time.monotonic() + 15
        # The killed one is a child until the supervisor has looked at it.
        while workers[0] in (now := children(server.process.pid)) or len(now) < 2:
            assert time.monotonic() < deadline, now
            time.sleep(0.05)
        server.wait_ready()
        server.terminate()
        assert server.process.wait(15) == 0


def children(pid: int) -> list[int]:
    names = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(name) for name in names]
