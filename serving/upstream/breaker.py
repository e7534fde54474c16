"""The circuit breaker of outgoing calls."""

from types import TracebackType

from circuitbreaker import CircuitBreaker


class Breaker(CircuitBreaker):  # type: ignore[misc]
    """The library's breaker, for which a call that proved nothing is neither success nor failure.

    The original closes on any exception that is not a failure: a client that goes away during the
    one trial call would close it.
    """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Count the call."""
        if kind is None or self.is_failure(kind, value):
            super().__exit__(kind, value, traceback)
