"""What the rooms tell a trace of what they do. Without a tracer they tell nothing."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

# Around what is told to nobody. It may be entered again and again.
UNTRACED: AbstractContextManager[object] = nullcontext()


class Request(Protocol):
    """A request that is being traced.

    Attributes:
        trace_id: 32 hex digits.
    """

    trace_id: str

    def end(self, method: str, route: str, status: int) -> None:
        """It has been answered."""


class Tracer(Protocol):
    """Makes the spans of a process."""

    def begin(self, scope: Mapping[str, str], path: str) -> Request:
        """A request has come; what its task does from now on is part of it.

        Args:
            scope: its headers that are of the trace (W3C Trace Context), by name.
            path: of its target.
        """

    def inside(self, name: str, attributes: Mapping[str, str]) -> AbstractContextManager[object]:
        """A span around something that waits for another process."""

    def headers(self) -> Mapping[str, str]:
        """What tells another service that it is part of the span that is current."""

    async def stop(self) -> None:
        """Send what is left, within a few seconds."""
