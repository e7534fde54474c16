"""Alembic's entry point: runs the migrations on the connection of `serving.data.migrate`."""

from alembic import context

from serving.tests.sample.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
