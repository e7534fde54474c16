"""The metrics of calls of another service."""

from serving.watch.registry import SLOW, Registry

BREAKER_STATES = ("closed", "open", "half_open")


class UpstreamMetrics:
    """Calls by outcome, their time, the circuit breaker's state, and reachability.

    Args:
        registry: where they go.
        prefix: begins their names, such as `ai`.
        title: of the service in words, such as `the AI service`.
    """

    def __init__(self, registry: Registry, *, prefix: str, title: str) -> None:
        self._breaker = registry.gauge(
            f"{prefix}_circuit_breaker_state", "1 for the state the breaker is in.", "state"
        )
        self.calls = registry.counter(
            f"{prefix}_calls", f"Calls of {title}, by outcome.", "outcome"
        )
        self.seconds = registry.histogram(
            f"{prefix}_call_duration_seconds", "Time of a call with its retries.", buckets=SLOW
        )
        self.reachable = registry.gauge(
            f"{prefix}_reachable", f"Whether {title} answered the last probe."
        )

    def set_breaker(self, state: str) -> None:
        """Note the circuit breaker's state."""
        for name in BREAKER_STATES:
            self._breaker.labels(name).set(name == state)
