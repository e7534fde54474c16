"""The databases that tests share are as good as new to each of them."""

import fcntl
from pathlib import Path

import asyncpg
import pytest

from serving.tests import scratch
from serving.tests.databases import Lent


async def ask(url: str, *statements: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return list(await connection.fetch(statements[-1]))
    finally:
        await connection.close()


ADD = (
    "INSERT INTO note_events (kind, payload, created_at) VALUES ('created', '', now()) RETURNING id"
)


@pytest.mark.postgresql
@pytest.mark.parametrize("turn", range(2))
async def test_a_lent_database_has_the_revision_and_nothing_else(
    postgres_url: str, turn: int
) -> None:
    """Two tests, each of which leaves a row and a wrong revision, and begins with an id of 1."""
    left = "SELECT version_num FROM alembic_version"
    assert [row[0] for row in await ask(postgres_url, left)] == ["0002"]
    assert await ask(postgres_url, "SELECT 1 FROM note_events") == []
    assert [row["id"] for row in await ask(postgres_url, ADD)] == [1]
    await ask(postgres_url, "UPDATE alembic_version SET version_num = 'another'", "SELECT 1")


@pytest.mark.postgresql
async def test_nobody_stays_on_a_lent_database(postgres_url: str) -> None:
    lent = Lent(postgres_url)
    await lent.look()
    left = await asyncpg.connect(lent.url)
    await left.execute("BEGIN; LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")
    assert await lent.empty()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError)):
        await left.fetch("SELECT 1")
    left.terminate()


@pytest.mark.postgresql
@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE another (id int)",
        "DROP TABLE note_keys",
        "ALTER TABLE notes ADD COLUMN another int",
        "ALTER TABLE notes ALTER COLUMN text DROP NOT NULL",
        "CREATE INDEX another ON notes (text)",
        "CREATE FUNCTION another() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER ROLE service SET statement_timeout = 1000",
    ],
)
async def test_a_database_of_which_more_than_rows_was_changed_is_lent_no_more(
    empty_postgres_url: str, change: str
) -> None:
    await ask(
        empty_postgres_url,
        "CREATE TABLE alembic_version (version_num text NOT NULL)",
        "CREATE TABLE notes (text text NOT NULL)",
        "CREATE TABLE note_keys (id int)",
        "SELECT 1",
    )
    lent = Lent(empty_postgres_url)
    await lent.look()
    assert await lent.empty()
    await ask(empty_postgres_url, change, "SELECT 1")
    try:
        assert not await lent.empty()
    finally:
        await ask(empty_postgres_url, "ALTER ROLE service RESET statement_timeout", "SELECT 1")


def test_a_folder_in_memory_is_gone_after_its_block(tmp_path: Path) -> None:
    with scratch.folder(tmp_path) as folder:
        (folder / "file").touch()
        assert tmp_path in folder.parents
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_somebody_left_is_removed_and_one_that_is_held_stays(tmp_path: Path) -> None:
    left = tmp_path / "scratch-left"
    left.mkdir()
    (left / "lock").touch()
    with scratch.folder(tmp_path) as held:
        assert not left.exists()
        with scratch.folder(tmp_path) as other:
            assert other != held
        assert held.exists()
        with (held.parent / "lock").open("rb") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("is_there", [True, False])
def test_where_memory_has_no_room_a_folder_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    memory = tmp_path / "memory"
    if is_there:
        memory.mkdir()
        monkeypatch.setattr(scratch, "_FREE_BYTES", 1 << 62)
    (tmp_path / "disk").mkdir()
    monkeypatch.setenv("TEST_TMPDIR", str(tmp_path / "disk"))
    with scratch.folder(memory) as folder:
        assert folder.parent == tmp_path / "disk"
    assert list((tmp_path / "disk").iterdir()) == []
