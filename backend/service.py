import asyncio
import logging
from datetime import timedelta

from backend.settings import Settings
from backend.todos import store as todos
from serving.data.database import Database
from serving.data.migrate import migrate
from serving.feed.follower import Feed
from serving.feed.sockets import Sockets
from serving.upstream.client import AiClient
from serving.watch.health import Health
from serving.watch.metrics import Metrics
from serving.web.security import Keys

HOUSEKEEPING_SECONDS = 600.0
MIGRATE_RETRY_SECONDS = 2.0

logger = logging.getLogger(__name__)


class Service:
    """Everything one application holds while it runs; made by `create_app`, opened by its lifespan.

    Attributes:
        draining: set at SIGTERM: unready, and no connection is kept alive.
        side: connections for probes and the feed, which must work while the pool is in full use.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.draining = False
        self.metrics = Metrics(settings.revision)
        self.keys = Keys(settings)
        self.database = Database(settings, on_wait=self.metrics.pool_wait_seconds.observe)
        self.side = Database(settings, pool_size=2)
        self.ai = AiClient(settings, self.metrics)
        self.metrics.set_breaker(self.ai.breaker_state)
        self.feed = Feed(settings, self.side, self.metrics)
        self.health = Health(self)
        self.sockets = Sockets(self)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Migrate where that is wanted, and start what runs beside the requests.

        A database that is away does not stop the start: readiness says so until it is back.
        """
        if self.settings.auto_migrate and not await self._migrated():
            self._tasks.append(asyncio.create_task(self._migrate_later()))
        self.ai.start()
        self._tasks.append(asyncio.create_task(self._keep_house()))

    async def stop(self) -> None:
        """Close everything that was opened."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.feed.stop()
        await self.ai.stop()
        await self.database.close()
        await self.side.close()

    def observe_pool(self) -> None:
        """Bring the gauges up to date that nothing else sets."""
        self.metrics.observe_pool(self.database)
        self.metrics.set_breaker(self.ai.breaker_state)

    async def _migrated(self) -> bool:
        try:
            await migrate(self.side)
        except Exception as error:  # noqa: BLE001  (the probes tell; the log has the reason)
            logger.warning("the schema could not be migrated: %s: %s", type(error).__name__, error)
            return False
        return True

    async def _migrate_later(self) -> None:
        while True:
            await asyncio.sleep(MIGRATE_RETRY_SECONDS)
            if await self._migrated():
                return

    async def _keep_house(self) -> None:
        settings = self.settings
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            try:
                async with self.side.write() as connection:
                    await todos.purge(
                        connection,
                        keys=timedelta(hours=settings.idempotency_hours),
                        feed=timedelta(hours=settings.event_retention_hours),
                    )
            except Exception as error:  # noqa: BLE001  (next time, then)
                logger.warning("old rows could not be removed: %s", type(error).__name__)
