"""Settings: where they come from, and what is said of wrong ones."""

from pathlib import Path

import pytest

from backend.identity import IDENTITY
from backend.settings import Settings
from backend.tests import process
from serving.settings.errors import SettingsError
from serving.settings.load import load
from serving.settings.reference import reference
from serving.web.security import new_key


def problems(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load(Settings)
    return caught.value.problems


def test_a_bare_environment_is_enough_for_development() -> None:
    settings = load(Settings)
    assert (settings.environment, settings.port, settings.auth_required) == ("dev", 8000, False)
    assert settings.is_sqlite


def test_production_has_its_own_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "prod")
    monkeypatch.setenv("API_KEYS", new_key("web")[1])
    settings = load(Settings)
    assert settings.auth_required
    assert not settings.docs_enabled
    assert not settings.auto_migrate
    assert settings.log_format == "json"


def test_a_production_default_can_be_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "prod")
    monkeypatch.setenv("AUTH_REQUIRED", "false")
    monkeypatch.setenv("DOCS_ENABLED", "true")
    assert load(Settings).docs_enabled


def test_every_problem_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(
        monkeypatch, ENVIRONMENT="prod", PORT="70000", CORS_ORIGINS="*", WS_QUEUE_SIZE="x"
    )  # fmt: skip
    assert [line.split(":")[0] for line in found] == [
        "PORT", "CORS_ORIGINS", "WS_QUEUE_SIZE", "API_KEYS",
    ]  # fmt: skip
    assert found[0] == "PORT: got '70000'; expected less than or equal to 65535"


def test_a_bad_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, DATABASE_URL="mysql://me:hunter2@db/x", API_KEYS="hunter2")
    assert len(found) == 2
    assert "hunter2" not in "".join(found)


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite://host/x", "postgresql://host", "postgresql://[/x", "nonsense", "x://y"],
)
def test_a_database_url_that_cannot_work_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    assert problems(monkeypatch, DATABASE_URL=url)[0].startswith("DATABASE_URL: got ********")


def test_more_workers_than_one_need_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, WORKERS="2") == [
        "WORKERS: got 2; expected 1 with SQLite, or a PostgreSQL DATABASE_URL"
    ]
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/x")
    assert load(Settings).workers == 2


def test_a_secret_can_be_a_mounted_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("hunter2\n")
    monkeypatch.setenv("DATABASE_PASSWORD_FILE", str(path))
    password = load(Settings).database_password
    assert password is not None
    assert password.get_secret_value() == "hunter2"


def test_several_keys_can_be_one_mounted_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    path.write_text(f"{new_key('a')[1]},\n{new_key('b')[1]}\n")
    monkeypatch.setenv("API_KEYS_FILE", str(path))
    assert set(load(Settings).key_digests()) == {"a", "b"}


def test_missing_files_and_doubled_secrets_are_all_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing")
    found = problems(
        monkeypatch, AI_API_KEY="x", AI_API_KEY_FILE=missing, DATABASE_PASSWORD_FILE=missing
    )
    assert found[0].startswith("DATABASE_PASSWORD_FILE: got")
    assert found[1].endswith("expected only one of AI_API_KEY, AI_API_KEY_FILE")


def test_what_is_not_a_secret_cannot_be_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT_FILE", "/nonexistent")
    assert load(Settings).port == 8000


def test_the_same_key_name_may_come_twice_for_rotation() -> None:
    entries = (new_key("web")[1], new_key("web")[1])
    assert len(Settings(api_keys=entries).key_digests()) == 2


def test_the_process_ends_with_78_before_the_port_opens() -> None:
    done = process.run(PORT="x", ENVIRONMENT="prod")
    assert done.returncode == 78
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["PORT", "API_KEYS"]
    assert done.stdout == ""


def test_check_config_shows_settings_and_masks_secrets() -> None:
    done = process.run(
        "check-config", DATABASE_URL="postgresql://me:hunter2@db/x", AI_API_KEY="hunter3", PORT="81"
    )
    assert done.returncode == 0
    assert "PORT=81\n" in done.stdout
    assert "DATABASE_URL=********\n" in done.stdout
    assert "AI_API_KEY=********\n" in done.stdout
    assert "hunter" not in done.stdout


def test_new_key_prints_a_key_that_its_entry_admits() -> None:
    done = process.run("new-key", "web")
    key, entry = (line.split()[-1] for line in done.stdout.splitlines())
    import hashlib

    assert Settings(api_keys=(entry,)).key_digests() == {
        "web": hashlib.sha256(key.encode()).digest()
    }


def test_the_documented_settings_are_the_real_ones() -> None:
    page = Path(__file__).parents[2] / "docs/configuration.md"
    assert page.read_text() == reference(IDENTITY, Settings), "run: python -m backend configuration"
