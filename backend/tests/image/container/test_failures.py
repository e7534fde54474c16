"""What the service does while what it needs fails, and afterwards."""

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from backend.tests.image.container.load import TODOS, Load, missing
from backend.tests.image.container.stack import SUGGESTIONS, WELL, Replica, Stack
from tests.container.bundle import SecurityContext
from tools.dev.ai import Behaviour, after, responds, says

STOP_SECONDS = 30.0


@pytest.fixture(scope="module")
def migrated(stack: Stack) -> Stack:
    done = stack.run("migrate")
    assert done.exit_code == 0, done.log
    return stack


@contextlib.contextmanager
def started(stack: Stack, *, connections: int, seconds: float) -> Iterator[Replica]:
    """One with so many connections to the database, which has that long for an answer."""
    made = stack.replica(
        AI_BREAKER_FAILURES="2",
        AI_BREAKER_RECOVERY="2",
        AI_READ_TIMEOUT="1",
        AI_RETRIES="0",
        DATABASE_POOL_SIZE=str(connections),
        DATABASE_MAX_OVERFLOW="0",
        DATABASE_POOL_TIMEOUT=str(seconds / 4),
        DATABASE_STATEMENT_TIMEOUT=str(seconds),
        DATABASE_CONNECT_TIMEOUT=str(seconds),
    )
    made.until_ready()
    yield made
    made.container.remove()


@pytest.fixture(scope="module")
def replica(migrated: Stack) -> Iterator[Replica]:
    """One from which the database is taken, and which finds it again."""
    with started(migrated, connections=2, seconds=2) as made:
        yield made


@pytest.fixture(scope="module")
def shared(migrated: Stack) -> Iterator[Replica]:
    """One for tests that leave it as they found it, whose database is always there."""
    with started(migrated, connections=5, seconds=30) as made:
        yield made


@pytest.fixture
def client_of_shared(shared: Replica) -> Iterator[httpx.Client]:
    with shared.client() as made:
        yield made


@pytest.fixture
def client(replica: Replica) -> Iterator[httpx.Client]:
    with replica.client() as made:
        yield made


def todo(client: httpx.Client, title: str = "Water the plants") -> str:
    answer = client.post(TODOS, json={"title": title})
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


def test_without_a_database_it_waits_and_then_starts(migrated: Stack) -> None:
    migrated.stop_database()
    replica = migrated.replica()
    try:
        try:
            replica.until_health(503)
            probes = {name: replica.health(name) for name in ("startup", "live")}
        finally:
            # The other tests need it, whatever this one finds.
            migrated.start_database()

        assert probes == {"startup": 503, "live": 200}
        replica.until_ready()
        assert replica.health("startup") == 200
    finally:
        replica.container.remove()


@pytest.mark.complains("database-unavailable: |change feed: ")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["stopped", "crashed"])
def test_a_database_that_goes_and_comes_back_costs_no_todo(
    migrated: Stack, replica: Replica, how: signal.Signals
) -> None:
    with Load([replica]) as load:
        load.until(50)
        migrated.stop_database(how)
        replica.until_health(503)
        assert replica.health("live") == 200
        migrated.start_database()
        replica.until_ready()
        load.until(50)

    assert load.wrong == []
    assert set(load.statuses) <= {200, 201, 503}, load.statuses
    assert missing(load, replica) == []


@pytest.mark.complains("database-(unavailable|busy): |change feed: ")
def test_a_database_that_does_not_answer_delays_nobody_for_long(
    migrated: Stack, replica: Replica, client: httpx.Client
) -> None:
    path = todo(client)
    migrated.freeze_database()
    try:
        began = time.monotonic()
        answer = client.get(path)
        seconds = time.monotonic() - began
        replica.until_health(503)
        live = replica.health("live")
    finally:
        migrated.thaw_database()

    assert answer.status_code == 503, answer.text
    # The statement's time and the pool's, and some for a busy machine.
    assert seconds < 6
    assert live == 200
    replica.until_ready()
    assert client.get(path).status_code == 200


@pytest.mark.complains("database-(unavailable|busy|slow): |change feed: ")
def test_without_a_free_connection_requests_are_refused_soon(
    migrated: Stack, replica: Replica
) -> None:
    with replica.client() as client:
        path = todo(client)
    migrated.freeze_database()
    try:
        with Load([replica], clients=6) as load:
            load.until(12, seconds=30)
    finally:
        migrated.thaw_database()

    assert load.statuses[503] >= 6, load.statuses
    assert load.wrong == []
    replica.until_ready()
    with replica.client() as client:
        assert client.get(path).status_code == 200


@pytest.mark.complains("database-(slow|busy): |change feed: ")
def test_a_slow_database_is_called_slow_and_costs_no_connection(
    migrated: Stack, replica: Replica, client: httpx.Client
) -> None:
    path = todo(client)
    with migrated.slow_todos():
        began = time.monotonic()
        answers = [client.get(path), client.patch(path, json={"title": "Water the garden"})]
        seconds = time.monotonic() - began
        with Load([replica], clients=6) as load:
            # A busy machine may make one look late; a pool in full use would make most.
            for _ in range(3):
                seen = replica.probes(3)
                if seen == WELL:
                    break

    for answer in answers:
        assert answer.status_code == 503, answer.text
        assert answer.json()["type"] == "/problems/database-slow"
        assert int(answer.headers["retry-after"]) >= 1
    # The time of two statements, and some for a busy machine.
    assert seconds < 6
    # Load on the database is no outage.
    assert seen == WELL
    assert set(load.statuses) == {503}, (load.statuses, load.wrong)

    def all_are_back() -> bool:
        return 'database_pool_connections{state="in_use"} 0.0' in client.get("/metrics").text

    replica.container.until(all_are_back, "giving every connection back to the pool", 20)
    assert client.get(path).status_code == 200


# What the feed has to say of the tests before may come late.
@pytest.mark.complains("change feed: ")
def test_what_went_wrong_is_logged_as_json(migrated: Stack, replica: Replica) -> None:
    migrated.stop_database()
    replica.until_health(503)
    migrated.start_database()
    replica.until_ready()

    for line in replica.container.stdout.splitlines():
        json.loads(line)
    assert replica.container.stderr == ""


def test_an_unreadable_secret_ends_it_before_it_listens(
    migrated: Stack, context: SecurityContext
) -> None:
    other = SecurityContext(user="1000:1000", seccomp=context.seccomp, tmpfs=context.tmpfs)

    replica = migrated.replica(other)

    assert replica.container.wait(20) == 78
    assert "DATABASE_PASSWORD_FILE: got '/run/secrets/" in replica.container.stderr
    assert "Permission denied" in replica.container.stderr
    assert "Traceback" not in replica.container.stderr


# Those that take `shared` come last: nothing happens to its database.


def test_a_replica_that_ends_under_load_fails_no_request(migrated: Stack, shared: Replica) -> None:
    other = migrated.replica(patient=True)
    other.until_ready()
    with Load([other, shared]) as load:
        load.until(100)
        other.container.signal(signal.SIGTERM)
        load.until_ready_are(1)
        # What is under way ends. Then nobody talks to it any more, and it drains for seconds.
        load.until(100)
        with load.calm():
            code = other.container.wait(STOP_SECONDS)
        load.until(100)

    assert code == 0, other.container.log
    assert load.wrong == []
    assert set(load.statuses) == {200, 201}, load.statuses
    assert missing(load, shared) == []


def test_a_replica_that_is_killed_takes_no_todo_with_it(migrated: Stack, shared: Replica) -> None:
    other = migrated.replica(patient=True)
    other.until_ready()
    with Load([other, shared]) as load:
        load.until(100)
        other.container.signal(signal.SIGKILL)
        other.container.wait(STOP_SECONDS)
        load.until_ready_are(1)
        # Whoever was talking to it heard nothing. What is under way ends first.
        load.until(20)
        unheard = load.statuses[0]
        load.until(200)

    # Since it is out of rotation everybody is served.
    assert load.statuses[0] == unheard, load.wrong
    assert set(load.statuses) <= {0, 200, 201}, load.statuses
    assert missing(load, shared) == []


@pytest.mark.complains("(failed: |ai-)(error-status|not-json|timeout|unreachable|circuit-open)")
@pytest.mark.parametrize(
    "behaviour",
    [
        responds(b"{}", 500),
        responds(b"<html>"),
        after(5, says(SUGGESTIONS)),
        None,
    ],
    ids=["fails", "sends no JSON", "is slow", "is down"],
)
def test_a_broken_ai_service_is_left_alone_until_it_works(
    migrated: Stack,
    shared: Replica,
    client_of_shared: httpx.Client,
    behaviour: Behaviour | None,
) -> None:
    path = todo(client_of_shared)
    ai = migrated.ai
    if behaviour is None:
        ai.stop()
    else:
        ai.behaviour = behaviour
    try:
        first = [client_of_shared.post(f"{path}/suggestions").status_code for _ in range(2)]
        calls = ai.calls
        opened = client_of_shared.post(f"{path}/suggestions")
        assert client_of_shared.get(path).status_code == 200
        assert shared.health() == 200
    finally:
        ai.behaviour = says(SUGGESTIONS)
        if behaviour is None:
            ai.start()

    assert set(first) <= {502, 503, 504}, first
    # Open: nobody is asked.
    assert opened.status_code == 503, opened.text
    assert opened.json()["type"] == "/problems/ai-circuit-open"
    assert ai.calls == calls

    # Half-open after two seconds: one trial call, which closes it.
    def suggested() -> object:
        answer = client_of_shared.post(f"{path}/suggestions")
        return answer.status_code == 200 and answer.json()["subtasks"]

    asked = shared.container.until(suggested, "asking the AI service again", 10)
    assert asked == SUGGESTIONS["subtasks"]


@pytest.mark.complains("(failed: |ai-)wrong-schema")
def test_a_model_that_talks_nonsense_is_asked_again(
    migrated: Stack, client_of_shared: httpx.Client
) -> None:
    path = todo(client_of_shared)
    calls = migrated.ai.calls
    migrated.ai.behaviour = says("nonsense")
    try:
        answers = [client_of_shared.post(f"{path}/suggestions").status_code for _ in range(3)]
    finally:
        migrated.ai.behaviour = says(SUGGESTIONS)

    # One more than open the breaker for a service that fails.
    assert answers == [502, 502, 502]
    assert migrated.ai.calls >= calls + 3
    assert client_of_shared.post(f"{path}/suggestions").status_code == 200


def test_a_full_temporary_folder_hinders_nobody(
    shared: Replica, client_of_shared: httpx.Client
) -> None:
    filler = Path(f"/proc/{shared.container.pid}/root/tmp/filler")
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 20))

    try:
        path = todo(client_of_shared)

        assert client_of_shared.get(path).status_code == 200
        assert shared.health() == 200
    finally:
        filler.unlink()
