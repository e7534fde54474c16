"""The change feed: events that the store recorded, handed to every subscriber of this process.

A notification carries nothing but "look": the events themselves are read from their table, from
the last one seen on. So a lost connection or a lost notification costs time but no event.

Every process publishes what it has committed: it moves the outbox to the log, once for all that was
committed meanwhile. What a process leaves behind that dies in between, the next one that publishes
takes along; whoever has subscribers does so at each of its regular looks.
"""

import asyncio
import contextvars
import json
import logging
import random
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from serving.data.database import Database
from serving.feed.log import EventLog
from serving.feed.metrics import FeedMetrics
from serving.feed.settings import FeedSettings
from serving.feed.subscription import Subscription

if TYPE_CHECKING:
    import asyncpg

BATCH = 500
# How long subscribers that are behind may hold up the others when there is much to catch up with.
BEHIND_SECONDS, BEHIND_LOOKS = 1.0, 200
CHECK_SECONDS = 5.0
STOP_SECONDS = 2.0
RETRY_SECONDS = (0.1, 5.0)

logger = logging.getLogger(__name__)


class Feed:
    """Follows the log of events and fans out to subscriptions.

    Nothing is connected before the first subscriber or the first event.

    Args:
        log: what is followed.
        message: what a subscriber is sent of an event (its id, kind and payload).
        database: connections of the feed's own, which must work while a pool is in full use.
        settings: how far a subscriber may lag, and how much it may catch up with.
        metrics: of the feed.
    """

    def __init__(
        self,
        log: EventLog,
        *,
        message: Callable[[Any], str],
        database: Database,
        settings: FeedSettings,
        metrics: FeedMetrics,
    ) -> None:
        self._log = log
        self._message = message
        self._settings = settings
        self._database = database
        self._metrics = metrics
        self._wake = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unpublished = asyncio.Event()
        self._publisher: asyncio.Task[None] | None = None
        self._stopping = False
        self._subscriptions: set[Subscription] = set()
        self.last_id = 0
        self.is_connected = False

    def poke(self) -> None:
        """Say that this process has committed an event."""
        if self._database.is_sqlite:
            # It has no notifications, and no outbox.
            self._wake.set()
            return
        self._unpublished.set()
        if self._publisher is None and not self._stopping:
            self._publisher = _in_background(self._publish())

    async def subscribe(self) -> Subscription:
        """A subscription from now on.

        Raises:
            TimeoutError: the database could not be followed within five seconds.
        """
        if self._task is None or self._task.done():
            self._task = _in_background(self._follow())
        async with asyncio.timeout(5):
            await self._caught_up.wait()
        subscription = Subscription(self._settings.ws_queue_size, self.last_id)
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        self._subscriptions.discard(subscription)

    async def resume(self, subscription: Subscription, after: int) -> list[str] | None:
        """Let a new subscription begin after an id that its client has seen.

        Returns:
            The messages between that id and where the subscription begins, oldest first. `None`
            when they are not all known any more, or too many: the client has to start over.
        """
        until = subscription.after
        if after == until:
            return []
        limit = self._settings.ws_replay_limit
        async with self._database.read() as connection:
            first, last = await self._log.range(connection)
            if after > last or after + 1 < first:
                return None
            if after > until:
                # Another replica has told what this one is about to see.
                subscription.after = after
                return []
            rows = await self._log.after(connection, after, limit + 1)
        rows = [row for row in rows if row.id <= until]
        return None if len(rows) > limit else [self._message(row) for row in rows]

    def close_subscriptions(self) -> None:
        """Tell every subscriber that the service is shutting down."""
        for subscription in self._subscriptions:
            subscription.close()

    @property
    def subscribers(self) -> int:
        """How many there are."""
        return len(self._subscriptions)

    async def stop(self) -> None:
        """Publish what this process has committed, in two seconds at most, and stop following."""
        self._stopping = True
        if self._publisher is not None:
            # It may be at it, or wait: in either case it ends after one more time.
            self._unpublished.set()
            await asyncio.wait([self._publisher], timeout=STOP_SECONDS)
            self._publisher.cancel()
        if self._task is not None:
            self._task.cancel()
        tasks = [task for task in (self._publisher, self._task) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _publish(self) -> None:
        low, high = RETRY_SECONDS
        delay = low
        while not (self._stopping and not self._unpublished.is_set()):
            await self._unpublished.wait()
            self._unpublished.clear()
            try:
                await self._empty_outbox()
                delay = low
            except Exception as error:  # noqa: BLE001  (nothing may end the feed)
                self._unpublished.set()
                if delay == low:
                    logger.warning(
                        "change feed: events wait to be published: %s", type(error).__name__
                    )
                await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311  (jitter)
                delay = min(high, delay * 2)

    async def _empty_outbox(self) -> None:
        if self._database.is_sqlite:
            return
        moved = BATCH
        while moved == BATCH:
            async with self._database.write() as connection:
                moved = await self._log.publish(connection, BATCH)

    async def _follow(self) -> None:
        low, high = RETRY_SECONDS
        delay = low
        while True:
            try:
                if self._database.is_sqlite:
                    await self._follow_table()
                else:
                    await self._follow_notifications()
            except Exception as error:  # noqa: BLE001  (nothing may end the feed)
                logger.warning("change feed: %s; trying again", type(error).__name__)
                self._metrics.reconnects.inc()
            delay = low if self.is_connected else min(high, delay * 2)
            self.is_connected = False
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311  (jitter)

    async def _follow_notifications(self) -> None:
        connection = await self._database.connect_driver()
        try:

            def wake(*_: Any) -> None:
                self._wake.set()

            connection.add_termination_listener(wake)
            await connection.add_listener(self._log.channel, wake)
            await self._follow_table(connection)
        finally:
            connection.terminate()

    async def _follow_table(self, listener: "asyncpg.Connection[Any] | None" = None) -> None:
        is_due = True
        await self._look_back()
        while True:
            self._wake.clear()
            if is_due:
                await self._empty_outbox()
            await self._drain()
            self.is_connected = True
            is_due = False
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                is_due = True
                # A connection that something on the way has dropped says nothing by itself.
                if listener is not None:
                    # asyncpg 0.32 refuses an empty statement.
                    await listener.execute("SELECT 1", timeout=5)
            if listener is not None and listener.is_closed():
                raise ConnectionError("the LISTEN connection was closed")

    async def _look_back(self) -> None:
        """Notice a database that knows less than was told."""
        if not self._caught_up.is_set():
            return
        async with self._database.read() as connection:
            _, last = await self._log.range(connection)
        if last < self.last_id:
            # A standby that had not received all of it has taken over, or a backup has.
            logger.warning(
                "change feed: told up to %d, the database knows %d; subscribers start over",
                self.last_id,
                last,
            )
            self.last_id = last
            for subscription in self._subscriptions:
                subscription.start_over(last, reset(last))

    async def _drain(self) -> None:
        if not self._caught_up.is_set():
            async with self._database.read() as connection:
                _, self.last_id = await self._log.range(connection)
            self._caught_up.set()
            return
        # More than a queue holds would make every subscriber seem slow, however fast it reads.
        limit = min(BATCH, max(1, self._settings.ws_queue_size // 2))
        while True:
            async with self._database.read() as connection:
                rows = await self._log.after(connection, self.last_id, limit)
            for row in rows:
                message = self._message(row)
                for subscription in self._subscriptions:
                    subscription.offer(row.id, message)
                self.last_id = row.id
            if len(rows) < limit:
                return
            await self._have_room(limit)

    async def _have_room(self, events: int) -> None:
        """Waits until every subscriber can be offered so many, or has had its time."""
        for _ in range(BEHIND_LOOKS):
            if all(one.room >= events for one in self._subscriptions):
                return
            await asyncio.sleep(BEHIND_SECONDS / BEHIND_LOOKS)


def hello(last_id: int) -> str:
    """What a client is sent first: events after that id follow."""
    return _text("hello", last_id)


def reset(last_id: int) -> str:
    """What a client is sent that has to start over: events after that id follow."""
    return _text("reset", last_id)


def _text(kind: str, last_id: int) -> str:
    return json.dumps({"kind": kind, "last_event_id": last_id}, separators=(",", ":"))


def _in_background(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task that is no part of the request that happens to start it: neither its log nor trace."""
    return asyncio.get_running_loop().create_task(work, context=contextvars.Context())
