"""The change feed of notes."""

from alembic import op

from serving.tests.sample.tables import events, metadata

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    metadata.create_all(op.get_bind(), [events])


def downgrade() -> None:
    """Drop it."""
    metadata.drop_all(op.get_bind(), [events])
