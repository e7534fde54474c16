"""Secrets in mounted files."""

from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import SecretStr

from serving.settings.errors import SettingsError
from serving.settings.load import load
from serving.settings.secrets import is_secret
from serving.settings.section import Names, Section, secret


class Vault(Section):
    TITLE: ClassVar[str] = "Vault"

    code: SecretStr | None = secret()
    key: SecretStr | None = secret()
    heirs: Names = secret(())
    door: int = 1


def problems() -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(Vault)
    return caught.value.problems


def test_a_field_says_whether_it_is_secret() -> None:
    assert [is_secret(Vault.model_fields[name]) for name in ("code", "door")] == [True, False]


@pytest.mark.parametrize("written", ["hunter2", "hunter2\n", "hunter2\r\n"])
def test_a_secret_is_the_file_without_its_line_break(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str
) -> None:
    path = tmp_path / "code"
    path.write_bytes(written.encode())
    monkeypatch.setenv("CODE_FILE", str(path))
    assert load(Vault).code == SecretStr("hunter2")


def test_blanks_belong_to_the_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "code"
    path.write_text(" a b \n")
    monkeypatch.setenv("CODE_FILE", str(path))
    assert load(Vault).code == SecretStr(" a b ")


def test_a_list_can_be_one_file_with_a_line_each(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "heirs"
    path.write_text("a,\nb\n")
    monkeypatch.setenv("HEIRS_FILE", str(path))
    assert load(Vault).heirs == ("a", "b")


@pytest.mark.parametrize("mistaken", ["hunter2", "sqlite://me:hunter2@host/x", "hunter2/x"])
def test_a_secret_in_place_of_its_path_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, mistaken: str
) -> None:
    monkeypatch.setenv("CODE_FILE", mistaken)
    monkeypatch.setenv("KEY_FILE", mistaken)
    monkeypatch.setenv("KEY", "x")
    assert len(problems()) == 2
    assert not any("hunter2" in line for line in problems())


def test_what_is_not_a_secret_cannot_be_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR_FILE", "/nonexistent")
    assert load(Vault).door == 1


def test_an_empty_name_of_a_file_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODE_FILE", "")
    assert load(Vault).code is None


def test_missing_files_and_doubled_secrets_are_all_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing")
    monkeypatch.setenv("CODE_FILE", missing)
    monkeypatch.setenv("KEY_FILE", missing)
    monkeypatch.setenv("KEY", "hunter2")
    found = problems()
    assert found[0].startswith(f"CODE_FILE: got {missing!r}; expected a readable UTF-8 file")
    assert found[1] == f"KEY_FILE: got {missing!r}; expected only one of KEY, KEY_FILE"
    assert "hunter2" not in "".join(found)


def test_a_file_that_is_no_text_is_reported_without_its_content(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "code"
    path.write_bytes(b"hunter2\xff")
    monkeypatch.setenv("CODE_FILE", str(path))
    found = problems()
    assert len(found) == 1
    assert "hunter2" not in found[0]
