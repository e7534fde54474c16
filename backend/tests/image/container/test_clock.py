"""The service goes on while its wall clock jumps: it measures durations by the monotonic clock."""

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.sync.client import ClientConnection, connect

from backend.tests.image.container.clock import Clock
from backend.tests.image.container.load import TODOS, Load, missing
from backend.tests.image.container.stack import API_KEY, SUGGESTIONS, WELL, Replica, Stack
from tools.dev.ai import responds, says

PING_SECONDS = 0.5
RECOVERY_SECONDS = 3.0

both_ways = pytest.mark.parametrize("days", [1, -1], ids=["a day ahead", "a day back"])


@pytest.fixture(scope="module")
def folder(scratch: Path) -> Path:
    made = scratch / "clock"
    made.mkdir()
    return made


@pytest.fixture(scope="module")
def shared(stack: Stack, folder: Path) -> Iterator[tuple[Replica, Clock]]:
    migrated = stack.run("migrate")
    assert migrated.exit_code == 0, migrated.log
    clock = Clock(folder, Path(os.environ["LIBFAKETIME"]))
    replica = stack.replica(
        clock=clock,
        patient=True,
        AI_BREAKER_FAILURES="2",
        AI_BREAKER_RECOVERY=str(RECOVERY_SECONDS),
        AI_RETRIES="0",
        WS_PING_INTERVAL=str(PING_SECONDS),
        WS_PING_TIMEOUT=str(PING_SECONDS),
    )
    replica.until_ready()
    yield replica, clock
    replica.container.remove()


@pytest.fixture
def clock(shared: tuple[Replica, Clock]) -> Iterator[Clock]:
    shared[1].jump(0)
    yield shared[1]
    shared[1].jump(0)


@pytest.fixture
def replica(shared: tuple[Replica, Clock]) -> Replica:
    return shared[0]


@pytest.fixture
def client(replica: Replica) -> Iterator[httpx.Client]:
    with replica.client() as made:
        yield made


def create(client: httpx.Client, **headers: str) -> httpx.Response:
    answer = client.post(TODOS, json={"title": "Water the plants"}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer


class Listener(ClientConnection):
    """A client of the feed that counts the service's pings."""

    pings = 0

    def process_event(self, event: Frame | Response) -> None:  # type: ignore[override]
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.pings += 1
        super().process_event(event)


@both_ways
def test_the_service_sees_the_jump(client: httpx.Client, clock: Clock, days: int) -> None:
    """Or else the other tests would show nothing."""
    clock.jump(days)

    created = create(client).json()["created_at"]

    expected = datetime.now(UTC) + timedelta(days=days)
    assert abs(datetime.fromisoformat(created) - expected) < timedelta(minutes=1)


@both_ways
def test_requests_under_way_are_served(replica: Replica, clock: Clock, days: int) -> None:
    with Load([replica]) as load:
        load.until(100)
        clock.jump(days)
        load.until(200)
        clock.jump(0)
        load.until(100)

    assert load.wrong == []
    assert set(load.statuses) == {200, 201}, load.statuses
    assert missing(load, replica) == []


@both_ways
def test_it_stays_ready(replica: Replica, clock: Clock, days: int) -> None:
    # A busy machine may make one look late; what a jump does, it does each time.
    for _ in range(3):
        clock.jump(0)
        replica.until_ready()
        clock.jump(days)
        # Longer than a look at the database is remembered.
        seen = replica.probes(2.5)
        if seen == WELL:
            break

    assert seen == WELL


@both_ways
def test_readiness_still_follows_the_database(
    stack: Stack, replica: Replica, clock: Clock, days: int
) -> None:
    assert replica.health() == 200
    clock.jump(days)
    stack.stop_database()
    try:
        replica.until_health(503, 10)
    finally:
        stack.start_database()

    replica.until_ready(20)


@both_ways
def test_todos_from_before_are_changed_and_deleted(
    client: httpx.Client, clock: Clock, days: int
) -> None:
    created = create(client)
    path = created.headers["location"]
    clock.jump(days)

    changed = client.patch(
        path,
        json={"title": "Water the garden"},
        headers={
            "If-Match": created.headers["etag"],
            "Content-Type": "application/merge-patch+json",
        },
    )

    assert changed.status_code == 200, changed.text
    todo = client.get(path).json()
    assert todo["title"] == "Water the garden"
    assert todo["updated_at"] >= todo["created_at"]
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


@both_ways
def test_a_repeated_creation_still_gets_the_first_answer(
    client: httpx.Client, clock: Clock, days: int
) -> None:
    key = f"jump-{days}"
    first = create(client, **{"Idempotency-Key": key})
    clock.jump(days)

    again = create(client, **{"Idempotency-Key": key})

    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()


@both_ways
def test_followers_stay_and_are_pinged_and_told(
    replica: Replica, client: httpx.Client, clock: Clock, days: int
) -> None:
    with connect(
        replica.url.replace("http", "ws") + "/ws/todos",
        additional_headers={"Authorization": f"Bearer {API_KEY}"},
        proxy=None,
        ping_interval=None,
        create_connection=Listener,
    ) as socket:
        assert isinstance(socket, Listener)
        assert json.loads(socket.recv(5))["kind"] == "hello"
        clock.jump(days)
        before, began = socket.pings, time.monotonic()
        time.sleep(6 * PING_SECONDS)
        pings, seconds = socket.pings - before, time.monotonic() - began

        created = create(client).json()
        event = json.loads(socket.recv(5))

    # Neither silence nor a flood.
    assert 2 <= pings <= seconds / PING_SECONDS + 1
    assert event["todo"]["id"] == created["id"]


@pytest.mark.complains("(failed: |ai-)(error-status|circuit-open)")
@both_ways
def test_an_open_breaker_waits_its_time_and_no_longer(
    stack: Stack, replica: Replica, client: httpx.Client, clock: Clock, days: int
) -> None:
    path = create(client).headers["location"]
    stack.ai.behaviour = responds(b"{}", 500)
    try:
        for _ in range(2):
            client.post(f"{path}/suggestions")
    finally:
        stack.ai.behaviour = says(SUGGESTIONS)
    opened, calls = time.monotonic(), stack.ai.calls
    clock.jump(days)

    at_once = client.post(f"{path}/suggestions")
    if time.monotonic() - opened < RECOVERY_SECONDS:
        assert at_once.status_code == 503, at_once.text
        assert at_once.json()["type"] == "/problems/ai-circuit-open"
        assert stack.ai.calls == calls

    def suggested() -> bool:
        return client.post(f"{path}/suggestions").status_code == 200

    replica.container.until(suggested, "asking the AI service again", 2 * RECOVERY_SECONDS + 4)
