"""The tables of the sample service, and how they are made."""

from pathlib import Path

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Text, Uuid

from serving.data.idempotency import IdempotencyKeys
from serving.data.migrate import Migrations
from serving.data.types import Moment
from serving.feed.log import EventLog

metadata = MetaData()

notes = Table(
    "notes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("text", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
)

events = Table(
    "note_events",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("payload", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

outbox = Table(
    "note_outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("payload", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
)

keys = Table(
    "note_keys",
    metadata,
    Column("principal", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("response", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
)

LOG = EventLog(table=events, outbox=outbox, channel="note_events", lock=1)
KEYS = IdempotencyKeys(keys)
MIGRATIONS = Migrations(folder=Path(__file__).parent / "migrations", newest="0002", lock=2)
