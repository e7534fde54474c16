"""One consumer's place in the feed: a bounded queue of messages."""

import asyncio
from collections import deque


class Subscription:
    """A bounded queue of messages for one consumer.

    Attributes:
        overflowed: the consumer lagged too far; nothing more will come.
        closing: the service is shutting down.
    """

    def __init__(self, size: int, after: int) -> None:
        self._size = size
        self._queue: deque[tuple[int, str]] = deque()
        self._ready = asyncio.Event()
        self._ended = asyncio.Event()
        self.after = after
        self.overflowed = False
        self.closing = False

    def offer(self, event_id: int, message: str) -> None:
        """Queue a message, or mark the consumer as too slow."""
        if len(self._queue) >= self._size:
            self.overflowed = True
            self._ended.set()
        elif event_id > self.after:
            self._queue.append((event_id, message))
        self._ready.set()

    def start_over(self, event_id: int, message: str) -> None:
        """Queue a message in place of all that is queued; events after that id follow."""
        self._queue.clear()
        self._queue.append((event_id, message))
        self.after = event_id - 1
        self._ready.set()

    @property
    def room(self) -> int:
        """How many more messages it can be offered; its whole size where it takes none any more."""
        return self._size if self.overflowed or self.closing else self._size - len(self._queue)

    def close(self) -> None:
        """Tell the consumer that the service is shutting down."""
        self.closing = True
        self._ended.set()
        self._ready.set()

    async def next(self) -> str | None:
        """The next message; `None` when there will be none (see `overflowed` and `closing`)."""
        while True:
            if self.overflowed or self.closing:
                return None
            while self._queue:
                event_id, message = self._queue.popleft()
                if event_id > self.after:
                    self.after = event_id
                    return message
            self._ready.clear()
            await self._ready.wait()

    async def ended(self) -> None:
        """Wait until the subscription is overflowed or closing, whatever is queued."""
        await self._ended.wait()
