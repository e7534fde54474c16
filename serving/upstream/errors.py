"""What can go wrong with a call of another service."""

from typing import ClassVar


class UpstreamFailure(Exception):  # noqa: N818  (its kinds are its statuses)
    """A call, or one attempt of it, failed. Each service has a subclass that names it.

    Attributes:
        service: begins the problem's slug, such as `ai`.
        title: the service in words, such as `the AI service`.
        outcome: for metrics, and the rest of the slug.
        status: of the problem that our client gets.
        was_processed: whether the service may have done the work, so that repeating it is not free.
        trips: whether the circuit breaker counts it.
        retry_after: seconds the service asked for.
    """

    service: ClassVar[str] = "upstream"
    title: ClassVar[str] = "the service behind this one"

    def __init__(
        self,
        outcome: str,
        status: int,
        detail: str,
        *,
        was_processed: bool = True,
        trips: bool = True,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.status = status
        self.was_processed = was_processed
        self.trips = trips
        self.retry_after = retry_after
