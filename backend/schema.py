"""Which schema this code works on, and how it is made."""

from pathlib import Path

from serving.data.migrate import Migrations

MIGRATIONS = Migrations(
    folder=Path(__file__).parent / "migrations",
    newest="0002",
    # "todo" in ASCII.
    lock=0x746F646F,
)
