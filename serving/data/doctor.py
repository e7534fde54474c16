"""What `doctor` looks at in the database: answer, clock, schema, rights."""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Table, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from serving.data.database import Database
from serving.data.errors import DatabaseError
from serving.data.migrate import Migrations, current_revision
from serving.watch.doctor import Examination, Finding, Verdict

# Rows are stamped with this process's clock; beyond it, orders of several replicas mislead.
SKEW_SECONDS = 2.0

_ABOUT = text(
    "SELECT current_setting('server_version'), clock_timestamp(), current_user, rolsuper"
    " FROM pg_roles WHERE rolname = current_user"
)
_HAS = text(
    "SELECT has_table_privilege(to_regclass(:table), 'SELECT'),"
    " has_table_privilege(to_regclass(:table), 'INSERT'),"
    " has_table_privilege(to_regclass(:table), 'UPDATE'),"
    " has_table_privilege(to_regclass(:table), 'DELETE')"
)
# What a migration wants: to make tables, and to own those that it changes.
_MAY_CREATE = text("SELECT current_schema(), has_schema_privilege(current_schema(), 'CREATE')")
_OWNS = text("SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass(:table)")
_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")
_REVISION = "SELECT on alembic_version"


def database(
    pool: Database, migrations: Migrations, tables: Sequence[Table]
) -> tuple[str, Examination]:
    """The examination.

    Args:
        pool: whose settings are tried; it is closed afterwards.
        migrations: which the schema should have.
        tables: that the service reads and writes.
    """
    is_automatic = pool.settings.auto_migrate

    async def look() -> Sequence[Finding]:
        began = time.perf_counter()
        try:
            async with pool.read() as connection:
                seconds = time.perf_counter() - began
                if pool.is_sqlite:
                    revision = await current_revision(connection)
                    schema = _schema(revision, migrations, is_automatic=is_automatic)
                    return [_found("database", "ok", "SQLite"), schema]
                return [
                    *await _server(connection, seconds),
                    *await _contents(connection, migrations, tables, is_automatic=is_automatic),
                ]
        except DBAPIError as error:
            if not pool.is_sqlite:
                raise
            # SQLite's own words, which name no value: no database, or one that cannot be written.
            what = f"SQLite: {error.orig}; expected a database that can be written, or no file yet"
            return [_found("database", "failed", f"{what}: look at DATABASE_URL")]
        except DatabaseError as error:
            cause = error.__cause__ or error
            # A TimeoutError has no words of its own.
            said = str(cause) or f"no answer within {time.perf_counter() - began:.0f} s"
            advice = "look at DATABASE_URL, the network policy, and the server's own log"
            return [_found("database", "failed", f"{type(cause).__name__}: {said}; {advice}")]
        finally:
            await pool.close()

    return "database", look


def _found(subject: str, verdict: Verdict, what: str) -> Finding:
    return Finding(subject=subject, verdict=verdict, text=what)


async def _server(connection: AsyncConnection, seconds: float) -> list[Finding]:
    asked = time.time()
    version, now, user, is_superuser = (await connection.execute(_ABOUT)).one()
    answered = time.time()
    # The server looked at its clock somewhere between question and answer.
    here = datetime.fromtimestamp((asked + answered) / 2, UTC)
    skew = (now - here).total_seconds()
    what = f"PostgreSQL {version}, connected in {seconds * 1000:.0f} ms"
    findings = [_found("database", "ok", what)]
    agrees = abs(skew) <= SKEW_SECONDS + (answered - asked) / 2
    what = f"the database's is {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}"
    if not agrees:
        what += "; have both machines keep time (NTP)"
    findings.append(_found("clock", "ok" if agrees else "warning", what))
    what = f"{user} is a superuser; a role of its own with the rights in docs/database.md is enough"
    if is_superuser:
        findings.append(_found("role", "warning", what))
    return findings


async def _contents(
    connection: AsyncConnection,
    migrations: Migrations,
    tables: Sequence[Table],
    *,
    is_automatic: bool,
) -> Sequence[Finding]:
    """Of a PostgreSQL: the schema, and the rights on what there is of it."""
    rights = await _rights(connection, ["alembic_version", *(table.name for table in tables)])
    lacking = [
        f"{right} on {name}"
        for name, has in rights.items()
        for right in _RIGHTS
        # Who serves only reads the revision.
        if not has[right] and (name != "alembic_version" or right == "SELECT")
    ]
    findings = []
    if _REVISION not in lacking:
        revision = await current_revision(connection)
        hindrances = await _hindrances(connection, rights) if is_automatic else []
        findings.append(
            _schema(revision, migrations, is_automatic=is_automatic, hindrances=hindrances)
        )
    if lacking:
        findings.append(_found("rights", "failed", f"lacks {', '.join(lacking)}; GRANT them"))
    elif rights:
        findings.append(_found("rights", "ok", "all that are needed on the tables"))
    return findings


def _schema(
    revision: str | None,
    migrations: Migrations,
    *,
    is_automatic: bool,
    hindrances: Sequence[str] = (),
) -> Finding:
    """What the revision means, and what will be done about it by whom."""
    newest = migrations.newest
    if revision == newest:
        return _found("schema", "ok", f"revision {revision}")
    if migrations.are_applied(revision):
        what = f"revision {revision}, newer than {newest}: well while the next version rolls out"
        return _found("schema", "warning", f"{what}; an older version than that may not work on it")
    if revision is not None and not migrations.is_own(revision):
        what = f"revision {revision!r} is none of this service's; another one uses this database"
        return _found("schema", "failed", f"{what}: look at DATABASE_URL")
    what = f"revision {revision or 'none'}, {newest} needed"
    if not is_automatic:
        return _found("schema", "failed", f"{what}; run the command migrate (AUTO_MIGRATE is off)")
    if hindrances:
        what += f"; AUTO_MIGRATE is on, but the role lacks {', '.join(hindrances)}"
        return _found("schema", "failed", f"{what}: run the command migrate as a role that has it")
    return _found(
        "schema", "warning", f"{what}; the service migrates at start (AUTO_MIGRATE is on)"
    )


async def _hindrances(connection: AsyncConnection, tables: Iterable[str]) -> Sequence[str]:
    """What the role lacks to change the schema."""
    name, may_create = (await connection.execute(_MAY_CREATE)).one()
    lacking = [] if may_create else [f"CREATE on the schema {name or 'public'}"]
    for table in tables:
        is_owner = await connection.scalar(_OWNS, {"table": table})
        lacking += [] if is_owner else [f"ownership of {table}"]
    return lacking


async def _rights(connection: AsyncConnection, tables: Sequence[str]) -> dict[str, dict[str, bool]]:
    """Which rights there are on each of the tables that exist."""
    found = {}
    for name in tables:
        row = (await connection.execute(_HAS, {"table": name})).one()
        # NULL where there is no such table: the schema's finding says so.
        if None not in row:
            found[name] = dict(zip(_RIGHTS, row, strict=True))
    return found
