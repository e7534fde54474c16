"""The database: pool, errors of its own, migrations."""
