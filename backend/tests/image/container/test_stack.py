"""The image works with what it works with in production."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from backend.tests.image.container.stack import API_KEY, PASSWORD, Replica, Stack, log_lines

PYTHON = "/usr/bin/python3.13"
TODOS = "/api/v1/todos"


class Collector:
    """Takes spans, and keeps them as they came. Use it as a context."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.8", 4318), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,))
        self.url = "http://127.0.0.8:4318"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as made:
        yield made


@pytest.fixture(scope="module")
def replicas(stack: Stack, replica: Replica, collector: Collector) -> Iterator[list[Replica]]:
    """Two, of which the second one sends traces: each start takes long on an emulated processor."""
    second = stack.replica(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    second.until_ready()
    yield [replica, second]
    # Before the collector, whose absence it would complain of.
    second.container.remove()


@pytest.fixture
def client(replicas: list[Replica]) -> Iterator[httpx.Client]:
    with replicas[0].client() as made:
        yield made


def create(client: httpx.Client, title: str) -> httpx.Response:
    answer = client.post(TODOS, json={"title": title})
    assert answer.status_code == 201, answer.text
    return answer


def test_it_is_unready_until_the_schema_is_there(stack: Stack, unmigrated: Replica) -> None:
    unmigrated.until_health(503)
    assert unmigrated.health("live") == 200

    def found() -> dict[str, str]:
        report = httpx.get(f"{unmigrated.url}/health/ready").json()
        return {one["component"]: one["status"] for one in report["components"]}

    # A slow machine may not have reached the database yet.
    unmigrated.container.until(lambda: found()["database"] == "ok", "reaching the database", 10)
    assert found()["schema"] == "unavailable"


def test_the_doctor_names_what_is_missing_and_what_to_run(unmigrated: Replica) -> None:
    done = unmigrated.container.execute(PYTHON, "-m", "backend", "doctor")

    assert done.returncode == 69, done.stderr
    failed = [line for line in done.stdout.splitlines() if line.startswith("failed")]
    assert len(failed) == 1, done.stdout
    assert "schema: revision none" in failed[0]
    assert "run the command migrate" in failed[0]


def test_a_run_of_the_image_migrates(stack: Stack, unmigrated: Replica) -> None:
    first = stack.run("migrate")
    second = stack.run("migrate")

    assert first.exit_code == 0, first.log
    assert "schema: empty -> " in first.stdout
    assert second.exit_code == 0, second.log
    assert "->" not in second.stdout
    unmigrated.until_ready()


def test_the_doctor_finds_a_running_service_well(replicas: list[Replica]) -> None:
    done = replicas[0].container.execute(PYTHON, "-m", "backend", "doctor")

    assert (done.returncode, done.stderr) == (0, "")
    found = {line[8:].partition(":")[0]: line[:8].strip() for line in done.stdout.splitlines()}
    assert {"temporary folder", "database", "clock", "schema", "rights", "ai"} <= set(found)
    assert "failed" not in found.values(), done.stdout
    assert API_KEY not in done.stdout
    assert PASSWORD not in done.stdout


def test_todos_are_created_read_changed_and_deleted(
    replicas: list[Replica], client: httpx.Client
) -> None:
    created = create(client, "Water the plants")
    path = created.headers["location"]
    with replicas[1].client() as other:
        read = other.get(path)
        assert read.json()["title"] == "Water the plants"
        changed = other.patch(
            path,
            json={"title": "Water the garden"},
            headers={
                "If-Match": read.headers["etag"],
                "Content-Type": "application/merge-patch+json",
            },
        )
    assert changed.status_code == 200, changed.text

    assert client.get(path).json()["title"] == "Water the garden"
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_requests_without_a_key_are_refused(replicas: list[Replica]) -> None:
    assert httpx.get(f"{replicas[0].url}{TODOS}").status_code == 401


def subscribe(replica: Replica) -> ClientConnection:
    return connect(
        replica.url.replace("http", "ws") + "/ws/todos",
        additional_headers={"Authorization": f"Bearer {API_KEY}"},
        proxy=None,
    )


def test_a_change_on_one_replica_reaches_those_who_follow_another(
    replicas: list[Replica], client: httpx.Client
) -> None:
    with subscribe(replicas[1]) as socket:
        assert json.loads(socket.recv(5))["kind"] == "hello"

        created = create(client, "Seen elsewhere").json()

        event = json.loads(socket.recv(5))
    assert event["todo"]["id"] == created["id"]
    assert event["todo"]["title"] == "Seen elsewhere"


def test_the_ai_service_suggests(stack: Stack, client: httpx.Client) -> None:
    path = create(client, "Water the plants").headers["location"]

    answer = client.post(f"{path}/suggestions")

    assert answer.status_code == 200, answer.text
    assert answer.json()["subtasks"] == ["find the can", "fill it"]
    assert stack.ai.calls == 1


def test_metrics_count_what_was_asked(client: httpx.Client) -> None:
    client.get(TODOS)

    text = client.get("/metrics").text

    assert 'http_requests_total{method="GET",route="/api/v1/todos"' in text


def test_logs_are_json_on_standard_output(replicas: list[Replica], client: httpx.Client) -> None:
    client.get(TODOS, headers={"X-Request-Id": "look-for-me"})

    def logged() -> list[dict[str, object]]:
        lines = log_lines(replicas[0].container)
        return [line for line in lines if line.get("request_id") == "look-for-me"]

    (line,) = replicas[0].container.until(logged, "logged", 5)
    assert line["status"] == 200
    assert replicas[0].container.stderr == ""


def test_the_image_has_what_traces_take(replicas: list[Replica], collector: Collector) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"

    with replicas[1].client() as client:
        header = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        assert client.get(TODOS, headers=header).status_code == 200

    def sent() -> bool:
        # As OTLP's messages hold it.
        return bytes.fromhex(trace) in b"".join(collector.bodies)

    replicas[1].container.until(sent, "sending the span", 30)
    assert b"todo-backend" in b"".join(collector.bodies)


def test_nothing_is_written_to_disk(replicas: list[Replica], client: httpx.Client) -> None:
    create(client, "Kept in the database")

    # The service's own view of its only writable folder.
    left = list(Path(f"/proc/{replicas[0].container.pid}/root/tmp").iterdir())

    assert left == []


def test_no_secret_is_logged(replicas: list[Replica], client: httpx.Client) -> None:
    client.get(TODOS)
    time.sleep(0.1)

    for replica in replicas:
        assert API_KEY not in replica.container.log
        assert "odd" not in replica.container.log
