"""Notes, and remembered Idempotency-Keys."""

from alembic import op

from serving.tests.sample.tables import keys, metadata, notes

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables."""
    metadata.create_all(op.get_bind(), [notes, keys])


def downgrade() -> None:
    """Drop them."""
    metadata.drop_all(op.get_bind(), [notes, keys])
