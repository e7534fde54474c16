"""What can be wrong with a database: errors of our own, in place of those of four libraries."""

from sqlalchemy.exc import DBAPIError, IntegrityError


class DatabaseError(Exception):
    """The database cannot do its work now; the statement is not at fault."""


class DatabaseDown(DatabaseError):  # noqa: N818  (a state, in the reader's words)
    """No connection to the database, or one that has fallen silent."""


class DatabaseSlow(DatabaseError):  # noqa: N818
    """A statement took longer than it may."""


class DatabaseBusy(DatabaseError):  # noqa: N818
    """Every connection of the pool is in use, and none came free in time."""


def translated(error: DBAPIError) -> DatabaseError | None:
    """SQLAlchemy's error as one of ours; `None` for a defect, such as a violated constraint."""
    if isinstance(error, IntegrityError):
        return None
    if is_statement_timeout(error):
        return DatabaseSlow("the statement took longer than it may")
    if is_outage(error):
        return DatabaseDown(f"{type(error).__name__}: {error}")
    return None


def is_statement_timeout(error: DBAPIError) -> bool:
    """Whether PostgreSQL cancelled the statement (SQLSTATE 57014) or SQLite's lock wait ended."""
    original = error.orig
    return getattr(original, "sqlstate", None) == "57014" or "database is locked" in str(original)


def is_outage(error: DBAPIError) -> bool:
    """Whether the connection or the server, not the statement, is at fault."""
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(state, str):
        return is_outage_state(state)
    return error.connection_invalidated or isinstance(
        getattr(error.orig, "__cause__", None), OSError
    )


def is_outage_state(state: str | None) -> bool:
    """Whether an SQLSTATE speaks of the connection or the server.

    Classes 08 (connection), 53 (resources), 57P (shutdown), and 25006 (a standby, in the middle of
    a failover): PostgreSQL 17, appendix A.
    """
    return state is not None and state.startswith(("08", "53", "57P", "25006"))
