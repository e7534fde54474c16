"""The connection pool, and the ways to use it."""

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import BindParameter, Insert, Select, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.sql import visitors
from sqlalchemy.util import await_only, greenlet_spawn

from serving.data.errors import (
    DatabaseBusy,
    DatabaseDown,
    DatabaseSlow,
    is_outage_state,
    translated,
)
from serving.data.overflow import Overflow
from serving.data.settings import DatabaseSettings
from serving.settings.rotation import Rotating
from serving.watch.spans import UNTRACED, Tracer

if TYPE_CHECKING:
    import asyncpg

PING_SECONDS = 2


class Query:
    """A query that is compiled once and then only given its parameters.

    Building and looking up a statement costs SQLAlchemy more than PostgreSQL takes to answer it.

    Raises:
        ValueError: the statement holds a value of its own, which the fast way to PostgreSQL would
            not be given.
    """

    def __init__(self, select: Select[Any]) -> None:
        self.select = _without_values(select)

    @functools.cached_property
    def for_postgresql(self) -> tuple[str, list[str]]:
        """The text with `$1`, `$2`, ... and the parameters' names in that order."""
        return _compiled(self.select)


class Command:
    """A statement that changes something and is a transaction by itself, compiled once.

    Raises:
        ValueError: as `Query`.
    """

    def __init__(self, insert: Insert) -> None:
        self._insert = _without_values(insert)

    @functools.cached_property
    def for_postgresql(self) -> tuple[str, list[str]]:
        """The text with `$1`, `$2`, ... and the parameters' names in that order."""
        return _compiled(self._insert)


def _without_values[Statement: (Select[Any], Insert)](statement: Statement) -> Statement:
    for part in visitors.iterate(statement):
        if isinstance(part, BindParameter) and not part.required:
            raise ValueError(
                f"the statement has the value {part.value!r} in it; expected a parameter, such as "
                'bindparam("limit", type_=Integer), and its value where the statement is used'
            )
    return statement


def _compiled(statement: Select[Any] | Insert) -> tuple[str, list[str]]:
    from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg  # noqa: PLC0415

    compiled = statement.compile(
        dialect=PGDialect_asyncpg(),  # type: ignore[no-untyped-call]
        compile_kwargs={"render_postcompile": True},
    )
    return str(compiled), list(compiled.positiontup or ())


class Database:
    """The connection pool and the ways to use it: `read`, `write` and `rows`.

    Whatever they meet that is not a defect of the statement is raised as a `DatabaseError`.

    Nothing is connected before the first use. Connections are taken for as long as a `read` or
    `write` block lasts, so a handler never holds one while it waits for something else.

    Args:
        settings: URL, pool and timeouts.
        name: what the connections are called in PostgreSQL's views.
        on_wait: told how long each caller waited for a connection, in seconds.
        pool_size: instead of the settings' size, with no overflow.
        tracer: told of each block and query, from the wait for a connection to its end.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        *,
        name: str,
        on_wait: Callable[[float], None] | None = None,
        pool_size: int | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.settings = settings
        self._tracer = tracer
        self._secrets = Rotating(settings, "database_url", "database_password")
        self._name = name
        self.is_sqlite = settings.is_sqlite
        self._on_wait = on_wait
        self._broken = _signs_of_a_broken_connection(self.is_sqlite)
        self._overflow: Overflow | None = None
        self._turns = asyncio.Semaphore(
            pool_size or settings.database_pool_size + settings.database_max_overflow
        )
        self.engine = self._make_engine(pool_size)
        self._read_engine = (
            self.engine
            if self.is_sqlite
            else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        )

    @property
    def pool(self) -> AsyncAdaptedQueuePool:
        """The pool, for its figures."""
        pool = self.engine.pool
        if not isinstance(pool, AsyncAdaptedQueuePool):
            raise TypeError(f"expected an AsyncAdaptedQueuePool, got {type(pool).__name__}")
        return pool

    @property
    def connections(self) -> tuple[int, int, int]:
        """How many are in use, are idle, and are more than the pool's usual size."""
        in_use = self.pool.checkedout()
        idle = self.pool.checkedin() if self._overflow is None else self._overflow.idle
        return in_use, idle, max(0, in_use + idle - self.settings.database_pool_size)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for single queries.

        On PostgreSQL each statement is its own transaction, which saves two round trips.
        """
        with self._span("read"):
            async with self._timed(self._read_engine) as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed when the block ends well, else rolled back."""
        with self._span("write"):
            async with self._timed(self.engine) as connection:
                if self.is_sqlite:
                    await connection.execution_options(sqlite_begin="BEGIN IMMEDIATE")
                async with connection.begin():
                    yield connection

    async def rows(self, query: Query, values: Mapping[str, Any]) -> Sequence[Mapping[Any, Any]]:
        """All rows of a prepared query, asked once more where the first connection was broken.

        Raises:
            DatabaseBusy: no connection came free in time.
            DatabaseDown: twice in a row.
            DatabaseSlow: the statement timeout passed.
        """
        if self.is_sqlite:
            async with self.read() as connection:
                found: Sequence[Mapping[Any, Any]] = (
                    (await connection.execute(query.select, values)).mappings().all()
                )
                return found
        text, names = query.for_postgresql
        arguments = [values[name] for name in names]
        with self._span("read"):
            try:
                return await self._fetch(text, arguments)
            except DatabaseDown:
                return await self._fetch(text, arguments)

    async def run(self, command: Command, values: Mapping[str, Any]) -> Sequence[Mapping[Any, Any]]:
        """Do a prepared command on PostgreSQL: one round trip, and its own transaction.

        Returns:
            What it is RETURNING, which says whether there was anything to do.

        Raises:
            DatabaseBusy: no connection came free in time.
            DatabaseDown: the connection broke; whether it was done is unknown.
            DatabaseSlow: the statement timeout passed.
        """
        text, names = command.for_postgresql
        with self._span("write"):
            return await self._fetch(text, [values[name] for name in names])

    def _span(self, operation: str) -> AbstractContextManager[object]:
        if self._tracer is None:
            return UNTRACED
        system = "sqlite" if self.is_sqlite else "postgresql"
        attributes = {"db.system.name": system, "db.operation.name": operation}
        return self._tracer.inside(f"{operation} {system}", attributes)

    async def _fetch(self, text: str, arguments: list[Any]) -> Sequence[Mapping[Any, Any]]:
        """Ask asyncpg itself, on a connection of the pool: lists are half as expensive this way."""
        began = time.perf_counter()
        await self._take_turn()

        def ask() -> Sequence[Mapping[Any, Any]]:
            # Taken and given back in one greenlet: each costs as much as what is done in it.
            try:
                pooled = self.engine.sync_engine.raw_connection()
            except PoolTimeoutError as error:
                raise DatabaseBusy("every database connection is in use") from error
            except self._broken as error:
                raise DatabaseDown(f"{type(error).__name__}: {error}") from error
            try:
                if self._on_wait is not None:
                    self._on_wait(time.perf_counter() - began)
                return self._asked(pooled.driver_connection, text, arguments)
            finally:
                pooled.close()

        try:
            found: Sequence[Mapping[Any, Any]] = await greenlet_spawn(ask)
        finally:
            self._turns.release()
        return found

    async def _take_turn(self) -> None:
        """Wait for a connection in the order of arrival; raises `DatabaseBusy`.

        The pool wakes whoever has waited for longest, but lets who asks meanwhile go first.
        """
        if not self._turns.locked():
            await self._turns.acquire()
            return
        try:
            async with asyncio.timeout(self.settings.database_pool_timeout):
                await self._turns.acquire()
        except TimeoutError as error:
            raise DatabaseBusy("every database connection is in use") from error

    def _asked(
        self, driver: "asyncpg.Connection[Any]", text: str, arguments: list[Any]
    ) -> Sequence[Mapping[Any, Any]]:
        import asyncpg  # noqa: PLC0415

        try:
            rows: Sequence[Mapping[Any, Any]] = await_only(driver.fetch(text, *arguments))
        except asyncpg.QueryCanceledError as error:
            raise DatabaseSlow from error
        except self._broken as error:
            # In whatever state it is: closed, the pool will replace it.
            driver.terminate()
            raise DatabaseDown(f"{type(error).__name__}: {error}") from error
        except asyncpg.PostgresError as error:
            if not is_outage_state(error.sqlstate):
                raise
            driver.terminate()
            raise DatabaseDown(f"{type(error).__name__}: {error}") from error
        return rows

    async def connect_driver(self) -> "asyncpg.Connection[Any]":
        """A PostgreSQL connection outside the pool, for LISTEN and for locks of a session.

        While a password is changed, the file that it is in and the server change one after the
        other: where the server does not take the new one yet, the one before is tried.

        Raises:
            DatabaseDown: no connection could be made, for whatever reason.
        """
        import asyncpg  # noqa: PLC0415  (SQLite does without it)

        current = self._secrets.current
        previous = self._secrets.previous
        try:
            try:
                return await asyncpg.connect(**_driver_arguments(current, self._name))
            except asyncpg.InvalidAuthorizationSpecificationError:
                if previous is None:
                    raise
                return await asyncpg.connect(**_driver_arguments(previous, self._name))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise DatabaseDown(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """Close every pooled connection."""
        if self._overflow is not None:
            self._overflow.stop()
        await self.engine.dispose()

    @asynccontextmanager
    async def _timed(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        began = time.perf_counter()
        await self._take_turn()
        try:
            async with engine.connect() as connection:
                if self._on_wait is not None:
                    self._on_wait(time.perf_counter() - began)
                try:
                    yield connection
                except self._broken as error:
                    await connection.invalidate()
                    raise DatabaseDown(f"{type(error).__name__}: {error}") from error
        except self._broken as error:
            # While it was made: SQLAlchemy prepares a new connection with the driver's own calls.
            raise DatabaseDown(f"{type(error).__name__}: {error}") from error
        except PoolTimeoutError as error:
            raise DatabaseBusy("every database connection is in use") from error
        except DBAPIError as error:
            known = translated(error)
            if known is None:
                raise
            raise known from error
        finally:
            self._turns.release()

    def _make_engine(self, pool_size: int | None) -> AsyncEngine:
        settings = self.settings
        options: dict[str, Any] = {
            "pool_size": pool_size or settings.database_pool_size,
            "max_overflow": 0 if pool_size else settings.database_max_overflow,
            "pool_timeout": settings.database_pool_timeout,
            "pool_recycle": settings.database_pool_recycle,
            # The most recently used connection first: in quiet times the others fall idle, age out,
            # and those that are overflow are closed.
            "pool_use_lifo": True,
            "poolclass": AsyncAdaptedQueuePool,
            "hide_parameters": True,
        }
        if self.is_sqlite:
            path = settings.database_url.get_secret_value().removeprefix("sqlite:///")
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            engine = create_async_engine(f"sqlite+aiosqlite:///{path}", **options)
            _prepare_sqlite(engine)
            return engine

        async def connect(*_: Any, **__: Any) -> "asyncpg.Connection[Any]":
            return await self.connect_driver()

        usual = options["pool_size"]
        options["pool_size"] += options["max_overflow"]
        options["max_overflow"] = 0
        engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, **options)
        if options["pool_size"] > usual and isinstance(engine.pool, AsyncAdaptedQueuePool):
            self._overflow = Overflow(engine.pool, usual, _close_in_order)
        _test_on_checkout(engine, settings, self._secrets)
        return engine


async def _close_in_order(driver: "asyncpg.Connection[Any]") -> None:
    """Say so first: the server would log a connection that only breaks off."""
    with contextlib.suppress(Exception):
        await driver.close(timeout=PING_SECONDS)


def _signs_of_a_broken_connection(is_sqlite: bool) -> tuple[type[Exception], ...]:
    """What neither asyncpg nor SQLAlchemy translates into an error of the database.

    InternalClientError is what asyncpg raises on a connection that broke between two messages, and
    InterfaceError on one that was closed meanwhile.
    """
    if is_sqlite:
        return (OSError, TimeoutError)
    import asyncpg  # noqa: PLC0415

    return (OSError, TimeoutError, asyncpg.InternalClientError, asyncpg.InterfaceError)


def _driver_arguments(settings: DatabaseSettings, name: str) -> dict[str, Any]:
    milliseconds = str(round(settings.database_statement_timeout * 1000))
    arguments: dict[str, Any] = {
        "dsn": settings.database_url.get_secret_value(),
        "timeout": settings.database_connect_timeout,
        # The server's own timeout comes first; this one is for a server that has fallen silent.
        "command_timeout": settings.database_statement_timeout + 1,
        "server_settings": {
            "application_name": name,
            "statement_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
            "jit": "off",
        },
    }
    if settings.database_password is not None:
        arguments["password"] = settings.database_password.get_secret_value()
    return arguments


def _test_on_checkout(
    engine: AsyncEngine, settings: DatabaseSettings, secrets: Rotating[DatabaseSettings]
) -> None:
    """Replace broken connections, and those of an old password, before a request gets one.

    A connection that the server closed is known to be closed without asking. Only one that has
    been idle long enough for something on the way to have dropped it costs a round trip.
    """

    @event.listens_for(engine.sync_engine, "connect")
    def note_secrets(_: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        record.info["secrets"] = secrets.version

    @event.listens_for(engine.sync_engine, "checkin")
    def note_time(_: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def test(connection: DBAPIConnection, record: ConnectionPoolEntry, _: Any) -> None:
        driver: asyncpg.Connection[Any] = connection.driver_connection
        if driver.is_closed():
            raise DisconnectionError
        # Asking is what looks at the files.
        _ = secrets.current
        if record.info["secrets"] != secrets.version:
            await_only(_close_in_order(driver))
            raise DisconnectionError
        idle_since = record.info.get("idle_since")
        if (
            settings.database_pre_ping
            and idle_since is not None
            and time.monotonic() - idle_since >= settings.database_pre_ping_idle
        ):
            try:
                await_only(driver.execute("SELECT 1", timeout=PING_SECONDS))
            except Exception as error:
                raise DisconnectionError from error


def _prepare_sqlite(engine: AsyncEngine) -> None:
    """Write-ahead log, enforced foreign keys, and transactions that begin when we say so."""

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 5000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        # A transaction that will write takes the lock at once: an upgrade could fail half-way.
        options = connection.get_execution_options()
        connection.exec_driver_sql(options.get("sqlite_begin", "BEGIN"))
