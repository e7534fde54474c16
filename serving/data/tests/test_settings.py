"""The variables of the database."""

import tempfile
from pathlib import Path

import pytest
from pydantic import SecretStr

from serving.data.settings import DatabaseSettings, sqlite_below_the_temporary_folder
from serving.settings.errors import SettingsError
from serving.settings.load import load


def problems(monkeypatch: pytest.MonkeyPatch, url: str) -> list[str]:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SettingsError) as caught:
        load(DatabaseSettings)
    return caught.value.problems


def test_without_a_url_there_is_a_file_below_the_temporary_folder() -> None:
    assert load(DatabaseSettings).is_sqlite
    url = sqlite_below_the_temporary_folder("inn.db")()
    assert url == SecretStr(f"sqlite:///{Path(tempfile.gettempdir()) / 'inn.db'}")


@pytest.mark.parametrize(
    "url",
    [
        *("sqlite://", "sqlite://host/x", "postgresql://host", "postgresql://[/x", "nonsense"),
        *("x://y", "sqlite:////proc", "sqlite:////proc/self/status/x", "sqlite:////tmp/a\nb"),
        *("postgresql://db:x/y", "postgresql://db:70000/y", "postgresql://db:0/y"),
        *("postgresql://a:1,b:z/y", "postgresql://db/y?sslmode=maybe", "postgresql://db/y\r\n"),
        "postgresql://db/y?sslrootcert=/nowhere/ca.pem",
    ],
)
def test_a_database_url_that_cannot_work_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    assert problems(monkeypatch, url)[0].startswith("DATABASE_URL: got ********")


def test_a_bad_url_does_not_show_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hunter2" not in "".join(problems(monkeypatch, "mysql://me:hunter2@db/x"))


def test_production_migrates_by_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "prod")
    assert not load(DatabaseSettings).auto_migrate


def test_the_password_can_be_a_mounted_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "password"
    path.write_text("hunter2\n")
    monkeypatch.setenv("DATABASE_PASSWORD_FILE", str(path))
    assert load(DatabaseSettings).database_password == SecretStr("hunter2")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:p%40ss@db:5432/x?sslmode=verify-full",
        "postgresql://[::1]:5432/x",
        "postgresql://a:1,b:2/x",
        "postgresql:///x?host=/run/postgresql",
        "sqlite:////tmp/not/there/yet.db",
    ],
)
def test_a_database_url_that_can_work_is_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert load(DatabaseSettings).database_url.get_secret_value() == url
