"""What `doctor` looks at in the database: answer, clock, schema, rights."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Table, text
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
_LACKS = text(
    "SELECT has_table_privilege(to_regclass(:table), 'SELECT'),"
    " has_table_privilege(to_regclass(:table), 'INSERT'),"
    " has_table_privilege(to_regclass(:table), 'UPDATE'),"
    " has_table_privilege(to_regclass(:table), 'DELETE')"
)
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

    async def look() -> Sequence[Finding]:
        began = time.perf_counter()
        try:
            async with pool.read() as connection:
                seconds = time.perf_counter() - began
                if pool.is_sqlite:
                    schema = _schema(await current_revision(connection), migrations)
                    return [_found("database", "ok", "SQLite"), schema]
                findings = await _server(connection, seconds)
                lacking = await _lacking(connection, tables)
                if _REVISION not in lacking:
                    findings.append(_schema(await current_revision(connection), migrations))
                return [*findings, _rights(lacking)]
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


def _schema(revision: str | None, migrations: Migrations) -> Finding:
    if migrations.are_applied(revision):
        newer = "" if revision == migrations.newest else f", newer than {migrations.newest}"
        return _found("schema", "ok", f"revision {revision}{newer}")
    what = f"revision {revision or 'none'}, {migrations.newest} needed; run the command migrate"
    return _found("schema", "failed", what)


async def _lacking(connection: AsyncConnection, tables: Sequence[Table]) -> Sequence[str]:
    lacking = []
    for name in ("alembic_version", *(table.name for table in tables)):
        row = (await connection.execute(_LACKS, {"table": name})).one()
        # NULL where there is no such table: the schema's finding says so.
        lacking += [
            f"{right} on {name}" for right, has in zip(_RIGHTS, row, strict=True) if has is False
        ]
    own = {f"{right} on alembic_version" for right in _RIGHTS} - {_REVISION}
    return [one for one in lacking if one not in own]


def _rights(lacking: Sequence[str]) -> Finding:
    if lacking:
        return _found("rights", "failed", f"lacks {', '.join(lacking)}; GRANT them")
    return _found("rights", "ok", "all that are needed on the tables")
