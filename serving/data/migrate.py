"""Schema migrations. Alembic is imported only here and only when there is something to do."""

import asyncio
import fcntl
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from backend.todos.tables import SCHEMA_REVISION
from serving.data.database import Database

# Any constant serves, as long as nobody else in this database takes it: "todo" in ASCII.
MIGRATION_LOCK = 0x746F646F

logger = logging.getLogger(__name__)


async def current_revision(connection: AsyncConnection) -> str | None:
    """The schema's revision in the database; `None` before the first migration."""
    try:
        revision = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    except DBAPIError as error:
        if _is_missing_table(error):
            return None
        raise
    return None if revision is None else str(revision)


def is_current(revision: str | None) -> bool:
    """Whether this code can work on a schema of that revision.

    A newer schema counts: while a new version rolls out, the old one's replicas go on serving on
    the schema that the new one migrated. Revisions are numbers, so the comparison is of strings.
    """
    return revision is not None and revision >= SCHEMA_REVISION


async def migrate(database: Database) -> tuple[str | None, str | None]:
    """Bring the schema to the newest revision, one process at a time.

    Returns:
        The revision before and after.

    Raises:
        DatabaseDown: the database cannot be reached.
    """
    async with _one_at_a_time(database), database.engine.connect() as connection:
        before = await current_revision(connection)
        await connection.rollback()
        if is_current(before):
            return before, before
        if not database.is_sqlite:
            # A migration may take longer than a request's statement may.
            await connection.execute(text("SET statement_timeout = 0"))
            await connection.execute(text("SET idle_in_transaction_session_timeout = 0"))
            await connection.commit()
        async with connection.begin():
            await connection.run_sync(_upgrade)
        after = await current_revision(connection)
        # Its settings differ from the pool's others.
        await connection.invalidate()
    logger.info("schema migrated from %s to %s", before, after)
    return before, after


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    folder = Path(__file__).parents[2] / "backend/migrations"
    # The value is a template of configparser's.
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@asynccontextmanager
async def _one_at_a_time(database: Database) -> AsyncIterator[None]:
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
        await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK, timeout=3600)
        yield
    finally:
        await connection.close(timeout=5)


def _is_missing_table(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    return state == "42P01" or "no such table" in str(error.orig)
