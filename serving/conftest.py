"""Fixtures of the tests of every room; no part of the library."""

from serving.tests.databases import (
    database_url,
    empty_postgres_url,
    empty_sqlite_url,
    initialised,
    lent_databases,
    migrated_file,
    own_server,
    postgres_server,
    postgres_url,
    shared_sqlite_url,
    sqlite_url,
)
from serving.tests.fixtures import (
    anyio_backend,
    clean_environment,
    client,
    migrations,
    no_other_complaints,
    plain,
)

__all__ = [
    "anyio_backend",
    "clean_environment",
    "client",
    "database_url",
    "empty_postgres_url",
    "empty_sqlite_url",
    "initialised",
    "lent_databases",
    "migrated_file",
    "migrations",
    "no_other_complaints",
    "own_server",
    "plain",
    "postgres_server",
    "postgres_url",
    "shared_sqlite_url",
    "sqlite_url",
]
