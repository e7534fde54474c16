"""The variables of what lies around the routes."""

import pytest

from serving.settings.errors import SettingsError
from serving.settings.load import load
from serving.web.security import new_key
from serving.web.settings import WebSettings


def problems(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load(WebSettings)
    return caught.value.problems


def test_production_demands_keys_and_hides_the_docs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "prod")
    monkeypatch.setenv("API_KEYS", new_key("web")[1])
    settings = load(WebSettings)
    assert (settings.auth_required, settings.docs_enabled) == (True, False)


def test_keys_that_are_demanded_have_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, ENVIRONMENT="prod") == [
        "API_KEYS: got nothing; expected at least one key, because AUTH_REQUIRED is true"
    ]


@pytest.mark.parametrize(
    "origin", ["*", "example.org", "https://example.org/", "https://example.org/x", "ftp://x"]
)
def test_an_origin_has_a_scheme_and_no_path(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    assert problems(monkeypatch, CORS_ORIGINS=origin)[0].startswith("CORS_ORIGINS: got ")


@pytest.mark.parametrize("entry", ["hunter2", "web:sha256:12", "we b:sha256:" + "0" * 64])
def test_a_key_that_is_no_entry_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    (found,) = problems(monkeypatch, API_KEYS=entry)
    assert found.startswith("API_KEYS: got ********; expected NAME:sha256:HEX entries")


def test_the_same_key_name_may_come_twice_for_rotation() -> None:
    entries = (new_key("web")[1], new_key("web")[1])
    assert len(WebSettings(api_keys=entries).key_digests()) == 2
