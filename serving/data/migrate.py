"""Schema migrations. Alembic is imported only here and only when there is something to do."""

import asyncio
import fcntl
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from serving.data.database import Database

RETRY_SECONDS = 2.0
# Whether Alembic's table is there, by dialect.
_HAS_REVISIONS = {
    "postgresql": "SELECT to_regclass('alembic_version') IS NOT NULL",
    "sqlite": "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'",
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Migrations:
    """A service's migrations.

    Attributes:
        folder: of Alembic's `env.py` and `versions`.
        newest: the newest revision. It is written down so that the server can compare it with the
            database's without importing Alembic.
        lock: key of the advisory lock that only one process holds; any constant serves, as long as
            nobody else in this database takes it.
    """

    folder: Path
    newest: str
    lock: int

    def are_applied(self, revision: str | None) -> bool:
        """Whether this code can work on a schema of that revision.

        A newer schema counts: while a new version rolls out, the old one's replicas go on serving
        on the schema that the new one migrated. Revisions are numbers, so strings are compared.
        """
        return revision is not None and self.is_own(revision) and revision >= self.newest

    def is_own(self, revision: str) -> bool:
        """Whether a revision may be one of this service's: a number of the same width.

        Another service's tool, or Alembic by itself, counts otherwise.
        """
        digits = revision.isascii() and revision.isdecimal()
        return digits and len(revision) == len(self.newest)


class ForeignSchema(Exception):  # noqa: N818  (a state, in the reader's words)
    """The database has the schema of another service."""


class MissingMigration(Exception):  # noqa: N818  (a state, in the reader's words)
    """No migration makes the schema that this version needs."""


async def current_revision(connection: AsyncConnection) -> str | None:
    """The schema's revision in the database; `None` before the first migration."""
    # A statement that failed would stand in the server's log as an error, once for each probe.
    if not await connection.scalar(text(_HAS_REVISIONS[connection.dialect.name])):
        return None
    revision = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if revision is None else str(revision)


async def migrate(database: Database, migrations: Migrations) -> tuple[str | None, str | None]:
    """Bring the schema to the newest revision, one process at a time.

    Returns:
        The revision before and after.

    Raises:
        DatabaseDown: the database cannot be reached.
        ForeignSchema: it has a revision that is none of this service's.
        MissingMigration: the last migration that there is does not make the newest revision.
    """
    async with (
        _one_at_a_time(database, migrations.lock),
        database.engine.connect() as connection,
    ):
        before = await current_revision(connection)
        await connection.rollback()
        if migrations.are_applied(before):
            return before, before
        if before is not None and not migrations.is_own(before):
            raise ForeignSchema(
                f"expected a revision like {migrations.newest}, or an empty database; "
                f"alembic_version has {before!r}, another service's: look at DATABASE_URL"
            )
        if not database.is_sqlite:
            # A migration may take longer than a request's statement may.
            await connection.execute(text("SET statement_timeout = 0"))
            await connection.execute(text("SET idle_in_transaction_session_timeout = 0"))
            await connection.commit()
        async with connection.begin():
            await connection.run_sync(_upgrade, migrations.folder)
        after = await current_revision(connection)
        # Its settings differ from the pool's others.
        await connection.invalidate()
    if not migrations.are_applied(after):
        raise MissingMigration(
            f"the schema is at {after}, and this version needs {migrations.newest}: no migration "
            f"in {migrations.folder} makes that"
        )
    logger.info("schema migrated from %s to %s", before, after)
    return before, after


class MigrationAtStart:
    """Migrates when a service starts, and goes on trying while the database is away.

    The start does not wait for that: readiness says so until the schema is there.
    """

    def __init__(self, database: Database, migrations: Migrations) -> None:
        self._database = database
        self._migrations = migrations
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Migrate once, and go on in the background where that failed."""
        if not await self._migrated():
            self._task = asyncio.create_task(self._try_again())

    async def stop(self) -> None:
        """Stop trying."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _migrated(self) -> bool:
        try:
            await migrate(self._database, self._migrations)
        except Exception as error:  # noqa: BLE001  (the probes tell; the log has the reason)
            logger.warning("the schema could not be migrated: %s: %s", type(error).__name__, error)
            return False
        return True

    async def _try_again(self) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            if await self._migrated():
                return


def _upgrade(connection: Connection, folder: Path) -> None:
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    # The value is a template of configparser's.
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@asynccontextmanager
async def _one_at_a_time(database: Database, key: int) -> AsyncIterator[None]:
    if database.is_sqlite:
        path = database.settings.database_url.get_secret_value().removeprefix("sqlite:///")
        with Path(f"{path}.migrate-lock").open("w") as lock:  # noqa: ASYNC230
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            yield
        return
    connection = await database.connect_driver()
    try:
        # A lock of the session: it goes when this process does, however it ends.
        await connection.execute("SET statement_timeout = 0")
        await connection.execute("SELECT pg_advisory_lock($1)", key, timeout=3600)
        yield
    finally:
        await connection.close(timeout=5)
