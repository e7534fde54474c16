"""Connections above a pool's usual size: kept while they are of use, then closed.

SQLAlchemy's own overflow is closed whenever one comes back that nobody waits for at that moment. A
service under steady load then makes connections all the time, and a new one costs PostgreSQL a
process and the request a login.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

UNUSED_SECONDS = 60.0


class Overflow:
    """Closes those connections above the usual size that nobody has needed for a minute.

    Args:
        pool: whose size is the usual one and the overflow together.
        size: the usual one.
        close: closes a driver's connection.
    """

    def __init__(
        self, pool: AsyncAdaptedQueuePool, size: int, close: Callable[[Any], Awaitable[None]]
    ) -> None:
        self._pool = pool
        self._size = size
        self._close = close
        # In the order in which they came back, so the one that was unused for longest is first.
        self._idle: dict[ConnectionPoolEntry, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Future[None]] = set()
        event.listen(pool, "checkout", self._take)
        event.listen(pool, "checkin", self._put)
        event.listen(pool, "close", self._forget)

    @property
    def idle(self) -> int:
        """Open connections that nobody uses."""
        return len(self._idle)

    def stop(self) -> None:
        """Close no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def _is_above_size(self) -> bool:
        return self._pool.checkedout() + len(self._idle) > self._size

    def _take(self, _: DBAPIConnection, record: ConnectionPoolEntry, __: Any) -> None:
        self._idle.pop(record, None)
        if record.info.get("is_unneeded"):
            # It may be open for a moment yet. The pool makes a new one.
            raise DisconnectionError

    def _put(self, connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        if connection is None:
            return
        self._idle[record] = time.monotonic()
        if self._timer is None and self._is_above_size:
            self._look_in(UNUSED_SECONDS)

    def _forget(self, _: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        self._idle.pop(record, None)

    def _look_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        now = time.monotonic()
        for record, since in list(self._idle.items()):
            if not self._is_above_size:
                return
            if now - since < UNUSED_SECONDS:
                self._look_in(since + UNUSED_SECONDS - now)
                return
            del self._idle[record]
            record.info["is_unneeded"] = True
            task = asyncio.ensure_future(self._close(record.driver_connection))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        if self._is_above_size:
            self._look_in(UNUSED_SECONDS)
