"""The tables of todos, of their change feed, and of remembered Idempotency-Keys."""

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY

from serving.data.types import Moment

STATES = ("open", "in_progress", "done", "cancelled")
PRIORITIES = ("low", "normal", "high", "urgent")
TITLE_MAX = 200
DESCRIPTION_MAX = 10_000
TAG_MAX = 50
TAGS_MAX = 20


tag_list = ARRAY(String(TAG_MAX)).with_variant(JSON(), "sqlite")
event_id = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


todos = Table(
    "todos",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("title", String(TITLE_MAX), nullable=False),
    Column("description", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("due", Moment),
    Column("tags", tag_list, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    CheckConstraint(f"length(title) BETWEEN 1 AND {TITLE_MAX}", name="title_length"),
    CheckConstraint(f"length(description) <= {DESCRIPTION_MAX}", name="description_length"),
    CheckConstraint(_one_of("state", STATES), name="state"),
    CheckConstraint(f"priority BETWEEN 0 AND {len(PRIORITIES) - 1}", name="priority"),
    CheckConstraint("version >= 1", name="version"),
    CheckConstraint("updated_at >= created_at", name="updated_at"),
    CheckConstraint(f"cardinality(tags) <= {TAGS_MAX}", name="tags").ddl_if(dialect="postgresql"),
    CheckConstraint(f"json_array_length(tags) <= {TAGS_MAX}", name="tags_json").ddl_if(
        dialect="sqlite"
    ),
    Index("ix_todos_created_at", "created_at", "id"),
    Index("ix_todos_updated_at", "updated_at", "id"),
    Index("ix_todos_state", "state", "created_at", "id"),
    Index("ix_todos_priority", "priority", "id"),
    Index("ix_todos_due", "due", "id"),
)

# Ids are drawn and committed under one lock, by who moves events here from the outbox
# (serving/feed/log.py), so they become visible in order and a reader that has seen id n has missed
# none below n.
events = Table(
    "todo_events",
    metadata,
    Column("id", event_id, primary_key=True, autoincrement=True),
    Column("kind", String(10), nullable=False),
    Column("todo_id", Uuid, nullable=False),
    Column("payload", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    CheckConstraint(_one_of("kind", ("created", "updated", "deleted")), name="kind"),
    Index("ix_todo_events_created_at", "created_at"),
    sqlite_autoincrement=True,
)

# What the log does not have yet. Nobody reads it but who moves.
outbox = Table(
    "todo_outbox",
    metadata,
    Column("id", event_id, primary_key=True, autoincrement=True),
    Column("kind", String(10), nullable=False),
    Column("todo_id", Uuid, nullable=False),
    Column("payload", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("principal", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("todo_id", Uuid, nullable=False),
    Column("response", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index("ix_idempotency_keys_created_at", "created_at"),
)
