"""Todos, their change feed, and remembered Idempotency-Keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the three tables."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    moment = sa.DateTime() if is_sqlite else sa.DateTime(timezone=True)
    tags = sa.JSON() if is_sqlite else postgresql.ARRAY(sa.String(50))
    tags_rule = (
        sa.CheckConstraint("json_array_length(tags) <= 20", name=op.f("ck_todos_tags_json"))
        if is_sqlite
        else sa.CheckConstraint("cardinality(tags) <= 20", name=op.f("ck_todos_tags"))
    )
    op.create_table(
        "todos",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("due", moment),
        sa.Column("tags", tags, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_todos")),
        sa.CheckConstraint("length(title) BETWEEN 1 AND 200", name=op.f("ck_todos_title_length")),
        sa.CheckConstraint(
            "length(description) <= 10000", name=op.f("ck_todos_description_length")
        ),
        sa.CheckConstraint(
            "state IN ('open', 'in_progress', 'done', 'cancelled')", name=op.f("ck_todos_state")
        ),
        sa.CheckConstraint("priority BETWEEN 0 AND 3", name=op.f("ck_todos_priority")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_todos_version")),
        sa.CheckConstraint("updated_at >= created_at", name=op.f("ck_todos_updated_at")),
        tags_rule,
    )
    op.create_index("ix_todos_created_at", "todos", ["created_at", "id"])
    op.create_index("ix_todos_updated_at", "todos", ["updated_at", "id"])
    op.create_index("ix_todos_state", "todos", ["state", "created_at", "id"])
    op.create_index("ix_todos_priority", "todos", ["priority", "id"])
    op.create_index("ix_todos_due", "todos", ["due", "id"])
    op.create_table(
        "todo_events",
        sa.Column(
            "id", sa.Integer() if is_sqlite else sa.BigInteger(), autoincrement=True, nullable=False
        ),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("todo_id", sa.Uuid(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_todo_events")),
        sa.CheckConstraint(
            "kind IN ('created', 'updated', 'deleted')", name=op.f("ck_todo_events_kind")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_todo_events_created_at", "todo_events", ["created_at"])
    op.create_table(
        "idempotency_keys",
        sa.Column("principal", sa.String(64), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("todo_id", sa.Uuid(), nullable=False),
        sa.Column("response", sa.Text(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("principal", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def downgrade() -> None:
    """Drop them, with everything in them."""
    op.drop_table("idempotency_keys")
    op.drop_table("todo_events")
    op.drop_table("todos")
