"""A resuming reader misses nothing and sees nothing twice, and each thing's events come in order.

Writers change a few things at once, each change under the thing's row lock and counted in the row;
they dawdle, give up, and die before, in and after their commit, while one holds a transaction open.
Publishers die in mid-move. A reader comes again and again from the last id it has seen. What it has
seen in the end has to be what the rows count: for each thing 1, 2, ... to its count.
"""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from serving.data.database import Database
from serving.feed.log import EventLog
from serving.tests.sample.tables import LOG, events, notes
from serving.tests.service import settings_for

THINGS = [UUID(int=number) for number in range(1, 5)]
WRITERS = 6
CHANGES = 25
MOMENT = 0.004
SECONDS = 60.0

# The log as it must not be: writers draw the ids that readers resume from.
NAIVE = EventLog(table=events, outbox=events, channel=LOG.channel, lock=LOG.lock)


class Crash(Exception):  # noqa: N818  (what is played, not a failure)
    """Somebody dies here."""


class World:
    """The things, and all who work on them."""

    def __init__(self, database: Database, log: EventLog, seed: int) -> None:
        self._database = database
        self._log = log
        self._has_outbox = not database.is_sqlite and log.outbox is not log.table
        self._random = random.Random(seed)
        self._is_over = False
        self.seen: list[tuple[int, str, int]] = []

    async def play(self) -> None:
        """All of it, until the reader has had time for everything."""
        async with self._database.write() as connection:
            rows = [{"id": thing, "text": "0", "created_at": datetime.now(UTC)} for thing in THINGS]
            await connection.execute(insert(notes), rows)
        others = [asyncio.create_task(self._read())]
        if self._has_outbox:
            others += [asyncio.create_task(self._publish()) for _ in range(2)]
        writers = [self._write() for _ in range(WRITERS)]
        if not self._database.is_sqlite:
            # Its transaction begins before all others and is committed after most.
            writers.append(self._dawdle())
        await asyncio.gather(*writers)
        self._is_over = True
        await asyncio.gather(*others)

    async def counts(self) -> dict[str, int]:
        """How many changes of each thing were committed."""
        async with self._database.read() as connection:
            rows = (await connection.execute(select(notes.c.id, notes.c.text))).all()
        return {str(row.id): int(row.text) for row in rows}

    async def _moment(self) -> None:
        await asyncio.sleep(self._random.random() * MOMENT)

    async def _write(self) -> None:
        for _ in range(CHANGES):
            await self._moment()
            async with self._mortal() as connection:
                await self._change(connection, self._random.choice(THINGS[1:]))
                await self._moment()
                if self._random.random() < 0.1:
                    raise Crash

    async def _dawdle(self) -> None:
        async with self._database.write() as connection:
            await self._change(connection, THINGS[0])
            while len(self.seen) < WRITERS * CHANGES // 3:
                await self._moment()

    async def _change(self, connection: AsyncConnection, thing: UUID) -> None:
        query = select(notes.c.text).where(notes.c.id == thing)
        if not self._database.is_sqlite:
            query = query.with_for_update()
        count = int(await connection.scalar(query) or 0) + 1
        await connection.execute(update(notes).where(notes.c.id == thing).values(text=str(count)))
        await self._moment()
        payload = json.dumps({"thing": str(thing), "count": count})
        await self._log.record(connection, "updated", payload)

    async def _publish(self) -> None:
        while True:
            is_last = self._is_over
            await self._moment()
            moved = 1
            while moved:
                moved = 0
                async with self._mortal() as connection:
                    moved = 1
                    moved = await self._log.publish(connection, self._random.randint(1, 20))
                    await self._moment()
                    if not is_last and self._random.random() < 0.2:
                        raise Crash
            if is_last:
                return

    async def _read(self) -> None:
        last = 0
        while True:
            is_last = self._is_over
            if is_last and self._has_outbox:
                await self._publish()
            async with self._database.read() as connection:
                rows = await self._log.after(connection, last, self._random.randint(1, 30))
            # The reader dies with some of them in its hands.
            for row in rows if is_last else rows[: self._random.randint(0, len(rows))]:
                payload = json.loads(row.payload)
                self.seen.append((row.id, payload["thing"], payload["count"]))
                last = row.id
            if is_last and not rows:
                return
            await self._moment()

    @asynccontextmanager
    async def _mortal(self) -> AsyncIterator[AsyncConnection]:
        """A transaction whose process may die: by `Crash` in it, or during its commit."""
        async with self._database.engine.connect() as connection:
            if self._database.is_sqlite:
                await connection.execution_options(sqlite_begin="BEGIN IMMEDIATE")
            transaction = await connection.begin()
            try:
                yield connection
            except Crash:
                await self._die(connection)
                return
            if self._is_over or self._database.is_sqlite or self._random.random() > 0.1:
                await transaction.commit()
                return
            # The server gets to know of the commit and may or may not do it.
            committing = asyncio.create_task(transaction.commit())
            await asyncio.sleep(self._random.random() * MOMENT / 4)
            await self._die(connection)
            await asyncio.gather(committing, return_exceptions=True)

    async def _die(self, connection: AsyncConnection) -> None:
        if self._database.is_sqlite:
            await connection.rollback()
            return
        driver: Any = (await connection.get_raw_connection()).driver_connection
        driver.terminate()
        await connection.invalidate()


def flaws(seen: list[tuple[int, str, int]], counts: dict[str, int]) -> list[str]:
    """What a reader may not see, in words."""
    found = []
    if sorted({event_id for event_id, _, _ in seen}) != [event_id for event_id, _, _ in seen]:
        found.append("ids do not rise")
    by_thing: dict[str, list[int]] = defaultdict(list)
    for _, thing, count in seen:
        by_thing[thing].append(count)
    for thing, count in counts.items():
        if by_thing[thing] != list(range(1, count + 1)):
            found.append(f"{thing}: expected 1 to {count}, saw {by_thing[thing]}")
    return found


@asynccontextmanager
async def world(url: str, log: EventLog, seed: int) -> AsyncIterator[World]:
    # Who dawdles is idle in its transaction until most others are done, however slow the machine;
    # it is `play`'s time that is bounded.
    options = {"database_pool_timeout": SECONDS, "database_statement_timeout": SECONDS}
    database = Database(settings_for(url, database_pool_size=WRITERS + 4, **options), name="test")
    yield World(database, log, seed)
    await database.close()


@pytest.mark.parametrize("seed", range(3))
async def test_a_reader_that_comes_again_sees_every_change_once_and_in_order(
    database_url: str, seed: int
) -> None:
    async with world(database_url, LOG, seed) as played:
        async with asyncio.timeout(SECONDS):
            await played.play()
        assert flaws(played.seen, await played.counts()) == []
    assert len(played.seen) > WRITERS * CHANGES // 2


@pytest.mark.postgresql
async def test_a_reader_would_miss_changes_if_writers_drew_its_ids(postgres_url: str) -> None:
    """The scenario can tell: the change of the transaction that stays open is passed by."""
    async with world(postgres_url, NAIVE, 0) as played:
        async with asyncio.timeout(SECONDS):
            await played.play()
        assert f"{THINGS[0]}: expected 1 to 1, saw []" in flaws(played.seen, await played.counts())


@pytest.mark.postgresql
async def test_writers_do_not_wait_for_one_another(postgres_url: str) -> None:
    """Nor for one who publishes."""
    database = Database(settings_for(postgres_url), name="test")
    async with asyncio.timeout(10), database.write() as one:
        await LOG.record(one, "created", "one")
        async with database.write() as publisher:
            assert await LOG.publish(publisher, 10) == 0
            async with database.write() as two:
                await LOG.record(two, "created", "two")
            async with database.read() as reader:
                waiting = await reader.scalar(text(f"SELECT count(*) FROM {LOG.outbox.name}"))
                assert waiting == 1
    await database.close()


@pytest.mark.postgresql
async def test_publishers_take_turns_even_where_they_would_move_different_events(
    postgres_url: str,
) -> None:
    """Else the second's ids, which are larger, could be seen first, and the first's passed by."""
    database = Database(settings_for(postgres_url), name="test")

    async def publish_one() -> None:
        async with database.write() as connection:
            assert await LOG.publish(connection, 1) == 1

    async def somebody_waits() -> bool:
        query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        async with database.read() as connection:
            return bool(await connection.scalar(text(query)))

    async with asyncio.timeout(20):
        async with database.write() as first:
            async with database.write() as early:
                await LOG.record(early, "created", "early")
                async with database.write() as late:
                    await LOG.record(late, "created", "late")
                assert await LOG.publish(first, 1) == 1
            second = asyncio.create_task(publish_one())
            while not (second.done() or await somebody_waits()):
                await asyncio.sleep(0.01)
            assert not second.done()
        await second
        async with database.read() as connection:
            found = [one.payload for one in await LOG.after(connection, 0, 10)]
    assert found == ["late", "early"]
    await database.close()
