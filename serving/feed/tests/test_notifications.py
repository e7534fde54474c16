"""What others with the database can do to the feed: nonsense, floods, killed connections."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from serving.feed.subscription import Subscription
from serving.tests.exposition import samples
from serving.tests.sample.app import SampleApplication
from serving.tests.sample.tables import LOG
from serving.tests.service import PATH, open_app


@asynccontextmanager
async def followed(url: str) -> AsyncIterator[tuple[SampleApplication, Any, Subscription]]:
    """A service whose feed has a subscriber, its client, and the subscriber."""
    async with open_app(url, ws_queue_size=50) as (app, client):
        subscription = await app.feed.subscribe()
        yield app, client, subscription
        app.feed.unsubscribe(subscription)


@asynccontextmanager
async def intruder(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def texts(subscription: Subscription, count: int) -> list[str]:
    found = []
    async with asyncio.timeout(20):
        for _ in range(count):
            message = await subscription.next()
            assert message is not None
            found.append(message)
    return found


PAYLOADS = [
    "",
    "x" * 7999,
    "{",
    "null",
    '{"id": 99999999999999999999}',
    "-1",
    "9223372036854775808",
    "\N{PILE OF POO}" * 1900,
    "'; DROP TABLE notes; --",
]


KILL_LISTENERS = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE pid <> pg_backend_pid() AND query ILIKE 'LISTEN%' AND datname = current_database()"
)


async def test_nonsense_in_notifications_is_nothing(postgres_url: str) -> None:
    """A notification says "look" and nothing else; what it carries is not read."""
    async with followed(postgres_url) as (_, client, subscription), intruder(postgres_url) as other:
        for payload in PAYLOADS:
            await other.execute("SELECT pg_notify($1, $2)", LOG.channel, payload)
        await client.post(PATH, json={"text": "true"})
        (message,) = await texts(subscription, 1)
        assert '"text":"true"' in message


async def test_a_flood_of_notifications_makes_no_event_twice_and_loses_none(
    postgres_url: str,
) -> None:
    async with (
        followed(postgres_url) as (app, client, subscription),
        intruder(postgres_url) as other,
    ):
        flood = "SELECT pg_notify($1, n::text) FROM generate_series(1, 5000) AS n"
        await other.execute(flood, LOG.channel)
        for number in range(5):
            await client.post(PATH, json={"text": f"n{number}"})
            await other.execute(flood, LOG.channel)
        messages = await texts(subscription, 5)
        assert [f'"text":"n{number}"' in messages[number] for number in range(5)] == [True] * 5
        found = samples((await client.get("/metrics")).text)
        assert found["feed_reconnects_total"] == 0
        assert app.feed.is_connected


@pytest.mark.complains("change feed: ")
async def test_a_killed_connection_costs_time_and_no_event(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with followed(postgres_url) as (_, client, subscription), intruder(postgres_url) as other:
        for number in range(3):
            async with asyncio.timeout(20):
                # The feed connects again on its own; until then there is nothing to kill.
                while not await other.fetchval(KILL_LISTENERS):
                    await asyncio.sleep(0.05)
            assert (await client.post(PATH, json={"text": f"n{number}"})).status_code == 201
        messages = await texts(subscription, 3)
        assert [f'"text":"n{number}"' in messages[number] for number in range(3)] == [True] * 3
    assert "change feed: " in caplog.text


async def test_a_replica_that_is_slow_loses_its_place_and_not_the_others(postgres_url: str) -> None:
    async with followed(postgres_url) as (app, client, subscription):
        slow = await app.feed.subscribe()
        received = 0
        for number in range(60):
            await client.post(PATH, json={"text": f"n{number}"})
            assert await texts(subscription, 1)
            received += 1
        assert received == 60
        assert slow.overflowed
        assert await slow.next() is None
        app.feed.unsubscribe(slow)


async def test_what_a_replica_committed_before_it_died_is_told_by_another(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.feed.follower.CHECK_SECONDS", 0.05)
    async with followed(postgres_url) as (app, _, subscription):
        async with app.database.write() as connection:
            await LOG.record(connection, "created", '{"text":"left behind"}')
        (message,) = await texts(subscription, 1)
    assert "left behind" in message


@pytest.mark.parametrize("ahead", [1, 2])
async def test_who_has_seen_more_at_another_replica_misses_nothing_at_one_that_is_behind(
    database_url: str, ahead: int
) -> None:
    async with followed(database_url) as (app, client, subscription):
        for number in range(3):
            await client.post(PATH, json={"text": f"n{number}"})
        await texts(subscription, 3)
        seen = app.feed.last_id
        # As it was before it saw what others have told.
        app.feed.last_id -= ahead
        resumed = await app.feed.subscribe()
        assert await app.feed.resume(resumed, seen) == []
        await client.post(PATH, json={"text": "next"})
        (message,) = await texts(resumed, 1)
        app.feed.unsubscribe(resumed)
    assert '"text":"next"' in message


@pytest.mark.complains("change feed: ")
async def test_subscribers_start_over_where_the_database_has_lost_what_they_were_told(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a failover to a standby that had not received all of it."""
    async with followed(postgres_url) as (_, client, subscription), intruder(postgres_url) as other:
        for number in range(3):
            await client.post(PATH, json={"text": f"n{number}"})
        await texts(subscription, 3)
        table = LOG.table.name
        await other.execute(f"DELETE FROM {table} WHERE id > 1")
        await other.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 1)")
        await other.execute(KILL_LISTENERS)
        (message,) = await texts(subscription, 1)
        assert json.loads(message) == {"kind": "reset", "last_event_id": 1}
        await client.post(PATH, json={"text": "again"})
        (message,) = await texts(subscription, 1)
    assert (json.loads(message)["id"], '"text":"again"' in message) == (2, True)
    assert "change feed: told up to 3, the database knows 1; subscribers start over" in caplog.text


async def test_a_service_that_ends_publishes_what_it_has_committed(postgres_url: str) -> None:
    # Whoever else publishes meanwhile waits.
    async with open_app(postgres_url) as (app, client), app.database.write() as connection:
        assert await LOG.publish(connection, 1) == 0
        assert (await client.post(PATH, json={"text": "last"})).status_code == 201
    async with intruder(postgres_url) as other:
        assert await other.fetchval(f"SELECT count(*) FROM {LOG.outbox.name}") == 0
        assert await other.fetchval(f"SELECT count(*) FROM {LOG.table.name}") == 1


@pytest.mark.complains("change feed: events wait to be published: ")
async def test_events_that_cannot_be_published_are_published_later(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_app(postgres_url, database_statement_timeout=0.1) as (app, client):
        subscription = await app.feed.subscribe()
        async with intruder(postgres_url) as other, other.transaction(), asyncio.timeout(20):
            await other.execute(f"LOCK TABLE {LOG.table.name} IN EXCLUSIVE MODE")
            assert (await client.post(PATH, json={"text": "late"})).status_code == 201
            while not caplog.records:
                await asyncio.sleep(0.01)
        (message,) = await texts(subscription, 1)
        app.feed.unsubscribe(subscription)
    assert '"text":"late"' in message
    # Once for each time that it begins, and of no request.
    assert [record.message for record in caplog.records] == [
        "change feed: events wait to be published: DatabaseSlow"
    ]
