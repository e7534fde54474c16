"""Removing what is old, again and again while a service runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from serving.data.database import Database

PERIOD_SECONDS = 600.0

# Deletes old rows on the connection of a transaction.
type Chore = Callable[[AsyncConnection], Awaitable[None]]

logger = logging.getLogger(__name__)


class Housekeeping:
    """Does some chores in one transaction every ten minutes."""

    def __init__(self, database: Database, chores: Sequence[Chore]) -> None:
        self._database = database
        self._chores = chores
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the first time is one period from now."""
        self._task = asyncio.create_task(self._keep_house())

    async def stop(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def do_chores(self) -> None:
        """Do all of them once."""
        async with self._database.write() as connection:
            for chore in self._chores:
                await chore(connection)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            try:
                await self.do_chores()
            except Exception as error:  # noqa: BLE001  (next time, then)
                logger.warning("old rows could not be removed: %s", type(error).__name__)
