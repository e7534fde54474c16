"""The change feed of notes."""

from alembic import op

from serving.tests.sample.tables import events, metadata, outbox

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create its log and its outbox."""
    metadata.create_all(op.get_bind(), [events, outbox])


def downgrade() -> None:
    """Drop them."""
    metadata.drop_all(op.get_bind(), [events, outbox])
