"""What the todo service can be told: the sum of its sections, and the page about them."""

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


def test_more_workers_than_one_need_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, WORKERS="2") == [
        "WORKERS: got 2; expected 1 with SQLite, or a PostgreSQL DATABASE_URL"
    ]
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/x")
    assert load(Settings).workers == 2


def test_missing_files_and_doubled_secrets_are_all_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing")
    found = problems(
        monkeypatch, AI_API_KEY="x", AI_API_KEY_FILE=missing, DATABASE_PASSWORD_FILE=missing
    )
    assert found[0].startswith("DATABASE_PASSWORD_FILE: got")
    assert found[1].endswith("expected only one of AI_API_KEY, AI_API_KEY_FILE")


def test_the_documented_settings_are_the_real_ones() -> None:
    page = Path(__file__).parents[2] / "docs/configuration.md"
    assert page.read_text() == reference(IDENTITY, Settings), (
        "run: tools/bazel run //backend -- configuration > docs/configuration.md"
    )


@pytest.mark.parametrize("url", ["ai:8080", "ftp://ai/v1", "http://", "http://ai/v1?x=1"])
def test_an_ai_service_has_an_http_url(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    shown = url.replace("x=1", "********")
    assert problems(monkeypatch, AI_BASE_URL=url) == [
        f"AI_BASE_URL: got {shown!r}; expected an http:// or https:// URL without a query"
    ]


@pytest.mark.parametrize("who", ["me:hunter2", ":hunter2", "hunter2"])
def test_the_ai_service_has_no_password_in_its_url(
    monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """It would be shown by check-config and in logs."""
    [problem] = problems(monkeypatch, AI_BASE_URL=f"https://{who}@ai.example.org/v1")
    assert problem.endswith("expected a URL without a password; use AI_API_KEY")
    assert "hunter2" not in problem


def test_a_call_of_the_ai_service_has_time_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, AI_TOTAL_TIMEOUT="1") == [
        "AI_TOTAL_TIMEOUT: got 1; expected at least AI_CONNECT_TIMEOUT (2)"
    ]


def test_check_config_shows_settings_and_masks_secrets() -> None:
    done = process.run("check-config", AI_API_KEY="hunter3", PORT="81")
    assert done.returncode == 0
    assert "PORT=81\n" in done.stdout
    assert "AI_API_KEY=********\n" in done.stdout
    assert "hunter" not in done.stdout
