"""The outbox of the change feed, so that writers need not commit one after another."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the outbox. Replicas of the version before go on recording in the log itself."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    op.create_table(
        "todo_outbox",
        sa.Column(
            "id", sa.Integer() if is_sqlite else sa.BigInteger(), autoincrement=True, nullable=False
        ),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("todo_id", sa.Uuid(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime() if is_sqlite else sa.DateTime(timezone=True),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_todo_outbox")),
    )


def downgrade() -> None:
    """Drop it; what it holds goes to the log first."""
    names = "kind, todo_id, payload, created_at"
    op.execute(
        f"INSERT INTO todo_events ({names}) SELECT {names} FROM todo_outbox ORDER BY id"  # noqa: S608
    )
    op.drop_table("todo_outbox")
