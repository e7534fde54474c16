"""The metrics of a connection pool."""

from sqlalchemy.pool import QueuePool

from serving.watch.registry import Registry


class DatabaseMetrics:
    """How many connections there are, and how long requests wait for one."""

    def __init__(self, registry: Registry) -> None:
        self._connections = registry.gauge(
            "database_pool_connections",
            "Connections of the pool: in use, idle, and how many of them are overflow.",
            "state",
        )
        self._wait_seconds = registry.histogram(
            "database_pool_wait_seconds", "Time a request waited for a database connection."
        )

    def waited(self, seconds: float) -> None:
        """Note how long a request waited."""
        self._wait_seconds.observe(seconds)

    def observe(self, pool: QueuePool) -> None:
        """Note how many connections there are."""
        self._connections.labels("in_use").set(pool.checkedout())
        self._connections.labels("idle").set(pool.checkedin())
        self._connections.labels("overflow").set(max(0, pool.overflow()))
