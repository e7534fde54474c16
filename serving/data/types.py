"""Column types that mean the same on PostgreSQL and SQLite."""

from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, TypeDecorator

# Times from EARLIEST up to LATEST, which is not one of them, mean the same on both: asyncpg makes
# infinity of the first and of the last instant that Python has.
EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, tzinfo=UTC)


class Moment(TypeDecorator[datetime]):
    """An aware time in UTC. SQLite knows no time zones: there it is stored as naive UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Hand SQLite naive UTC; PostgreSQL takes aware times as they are."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Make SQLite's naive UTC aware again."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.replace(tzinfo=UTC)
