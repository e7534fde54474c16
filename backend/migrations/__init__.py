"""The schema, step by step: Alembic runs what is in versions/."""
