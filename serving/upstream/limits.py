"""What calls of another service may take."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on each call, and on all of them together; times in seconds.

    Attributes:
        connect_timeout: for connecting.
        read_timeout: between bytes of the answer.
        total_timeout: for one call with its retries.
        retries: of a call that certainly was not processed.
        max_concurrency: calls at the same time.
        queue_timeout: how long a call waits for its turn.
        max_response_bytes: of the answer.
        breaker_failures: in a row, that open the circuit breaker.
        breaker_recovery: how long it stays open before one trial call.
        probe_interval: between looks at whether the service can be reached.
    """

    connect_timeout: float
    read_timeout: float
    total_timeout: float
    retries: int
    max_concurrency: int
    queue_timeout: float
    max_response_bytes: int
    breaker_failures: int
    breaker_recovery: int
    probe_interval: float
