"""The container's program makes a database where there is none, whole or not at all."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from image.postgres import __main__ as program
from image.postgres.__main__ import ConfigurationError, Settings

# Stand for PostgreSQL's programs: they note what they are told.
INITDB = """#!/bin/sh
echo "$@" > "{log}/initdb"
for word in "$@"; do
    case $word in --pwfile=*) cat "${{word#--pwfile=}}" > "{log}/password" ;; esac
done
mkdir "$2" && echo "local all all trust" > "$2/pg_hba.conf"
exit {code}
"""
POSTGRES = """#!/bin/sh
echo "$@" > "{log}/postgres"
cat > "{log}/sql"
exit {code}
"""


@pytest.fixture
def programs(tmp_path: Path) -> Callable[..., Path]:
    def make(initdb: int = 0, postgres: int = 0) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        for name, text, code in (("initdb", INITDB, initdb), ("postgres", POSTGRES, postgres)):
            file = folder / name
            file.write_text(text.format(log=tmp_path, code=code))
            file.chmod(0o755)
        return folder

    return make


def settings(folder: Path, password: str = "", database: str = "todo") -> Settings:
    return Settings(folder / "data", "todo", password, database)


def test_the_defaults_are_those_of_postgresql() -> None:
    assert Settings.read({}) == Settings(
        Path("/var/lib/postgresql/data"), "postgres", "", "postgres"
    )


def test_the_database_is_named_after_its_owner() -> None:
    assert Settings.read({"POSTGRES_USER": "todo"}).database == "todo"
    assert Settings.read({"POSTGRES_USER": "todo", "POSTGRES_DB": "other"}).database == "other"


def test_the_password_comes_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(" with spaces \n")

    found = Settings.read({"POSTGRES_PASSWORD_FILE": str(tmp_path / "password")})

    assert found.password == " with spaces "


def test_two_passwords_are_one_too_many() -> None:
    with pytest.raises(ConfigurationError, match="POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE"):
        Settings.read({"POSTGRES_PASSWORD": "odd", "POSTGRES_PASSWORD_FILE": "/file"})


def test_a_password_file_that_is_missing_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"POSTGRES_PASSWORD_FILE: .*'/no/such/file'"):
        Settings.read({"POSTGRES_PASSWORD_FILE": "/no/such/file"})


def test_the_database_is_made_with_checksums_for_its_owner(
    tmp_path: Path, programs: Callable[..., Path]
) -> None:
    program.initialise(settings(tmp_path), programs())

    told = (tmp_path / "initdb").read_text()
    assert "--username todo" in told
    assert "--data-checksums" in told
    assert "--auth=trust" in told
    assert (tmp_path / "sql").read_text() == 'CREATE DATABASE "todo"\n'
    assert (tmp_path / "data/pg_hba.conf").read_text().splitlines() == [
        "local all all trust",
        "host all all all trust",
    ]


def test_a_password_is_asked_for_from_everywhere_and_is_no_argument(
    tmp_path: Path, programs: Callable[..., Path]
) -> None:
    program.initialise(settings(tmp_path, password="odd 'one'"), programs())

    told = (tmp_path / "initdb").read_text()
    assert "--auth=scram-sha-256" in told
    assert "odd" not in told
    assert (tmp_path / "password").read_text() == "odd 'one'"
    assert "host all all all scram-sha-256" in (tmp_path / "data/pg_hba.conf").read_text()


def test_a_name_cannot_end_its_quotes(tmp_path: Path, programs: Callable[..., Path]) -> None:
    program.initialise(settings(tmp_path, database='a"; DROP'), programs())

    assert (tmp_path / "sql").read_text() == 'CREATE DATABASE "a""; DROP"\n'


def test_postgresqls_own_database_is_not_made_again(
    tmp_path: Path, programs: Callable[..., Path]
) -> None:
    program.initialise(settings(tmp_path, database="postgres"), programs())

    assert not (tmp_path / "sql").exists()
    assert (tmp_path / "data").is_dir()


@pytest.mark.parametrize("failing", ["initdb", "postgres"])
def test_what_fails_leaves_no_database_and_can_be_tried_again(
    tmp_path: Path, programs: Callable[..., Path], failing: str
) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        program.initialise(settings(tmp_path), programs(**{failing: 1}))
    assert not (tmp_path / "data").exists()

    program.initialise(settings(tmp_path), programs())

    assert (tmp_path / "data").is_dir()
    assert not (tmp_path / "data.unfinished").exists()


class Became(Exception):  # noqa: N818  (stands for a success)
    """The process would be the server now."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], dict[str, str]]]:
    """What the program becomes, instead of becoming it."""
    seen: list[tuple[str, list[str], dict[str, str]]] = []

    def execve(path: str, arguments: list[str], environment: dict[str, str]) -> None:
        seen.append((path, arguments, environment))
        raise Became

    monkeypatch.setattr(os, "execve", execve)
    return seen


def test_a_database_that_is_there_is_served_as_it_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    started: list[tuple[str, list[str], dict[str, str]]],
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("PGDATA", str(tmp_path / "data"))
    monkeypatch.setenv("POSTGRES_PASSWORD", "odd")
    monkeypatch.setattr("sys.argv", ["postgres", "-c", "max_connections=7"])

    with pytest.raises(Became):
        program.main()

    [(path, arguments, environment)] = started
    assert path == "/usr/lib/postgresql/17/bin/postgres"
    assert arguments[:3] == [path, "-D", str(tmp_path / "data")]
    # What the person asks for comes last, and so holds.
    assert arguments[-2:] == ["-c", "max_connections=7"]
    assert "POSTGRES_PASSWORD" not in environment


def test_a_wrong_setting_ends_it_with_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD_FILE", "/no/such/file")

    assert program.main() == 1

    assert capsys.readouterr().err.startswith("postgres: POSTGRES_PASSWORD_FILE: ")
