"""The metrics of a connection pool."""

from serving.data.database import Database
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

    def observe(self, database: Database) -> None:
        """Note how many connections there are."""
        in_use, idle, overflow = database.connections
        self._connections.labels("in_use").set(in_use)
        self._connections.labels("idle").set(idle)
        self._connections.labels("overflow").set(overflow)
