"""Reading the environment: each problem is a line that says what came and what is expected."""

from collections.abc import Iterator
from typing import ClassVar

import pytest
from pydantic import Field, SecretStr, field_validator

from serving.settings.errors import SettingsError
from serving.settings.load import load
from serving.settings.section import Section, expected, secret


class Garden(Section):
    TITLE: ClassVar[str] = "Garden"

    trees: int = Field(3, ge=1, le=9)
    gate: str = "open"
    code: SecretStr | None = secret()

    @field_validator("gate")
    @classmethod
    def _check_gate(cls, value: str) -> str:
        if value not in {"open", "shut"}:
            raise expected("open or shut")
        return value

    @field_validator("code")
    @classmethod
    def _check_code(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().isdigit():
            raise expected("digits")
        return value

    def conflicts(self) -> Iterator[str]:
        if self.gate == "shut" and self.code is None:
            yield "CODE: got nothing; expected digits, because GATE is shut"
        if self.trees == 9:
            yield "TREES: got 9; expected room for a bench"


def problems(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load(Garden)
    return caught.value.problems


def test_an_empty_environment_gives_the_defaults() -> None:
    assert load(Garden).trees == 3


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREES", "5")
    assert load(Garden).trees == 5


def test_a_problem_names_the_variable_what_came_and_what_is_expected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert problems(monkeypatch, TREES="0") == [
        "TREES: got '0'; expected greater than or equal to 1"
    ]


def test_every_problem_is_reported_at_once_in_the_order_of_the_fields(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = problems(monkeypatch, GATE="ajar", TREES="many", ENVIRONMENT="test")
    assert [line.split(":")[0] for line in found] == ["ENVIRONMENT", "TREES", "GATE"]
    assert found[2] == "GATE: got 'ajar'; expected open or shut"


def test_rules_over_several_variables_are_told_in_the_same_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = problems(monkeypatch, TREES="many", GATE="shut")
    assert [line.split(":")[0] for line in found] == ["TREES", "CODE"]


def test_an_invalid_variable_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, CODE="letters", GATE="shut")
    assert found == ["CODE: got ********; expected digits"]


def test_a_bad_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, CODE="hunter2")
    assert found == ["CODE: got ********; expected digits"]


def test_the_error_says_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREES", "9")
    monkeypatch.setenv("GATE", "shut")
    with pytest.raises(SettingsError) as caught:
        load(Garden)
    assert len(caught.value.problems) == 2
    assert str(caught.value) == "\n".join(caught.value.problems)


def test_a_file_that_cannot_be_read_hides_no_other_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CODE_FILE", "/nowhere/code")
    monkeypatch.setenv("GATE", "shut")
    monkeypatch.setenv("TREES", "12")
    with pytest.raises(SettingsError) as caught:
        load(Garden)
    assert [line.split(":")[0] for line in caught.value.problems] == ["CODE_FILE", "TREES"]


def test_a_number_with_underscores_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREES", "0_3")
    with pytest.raises(SettingsError) as caught:
        load(Garden)
    assert caught.value.problems == ["TREES: got '0_3'; expected a number, without underscores"]


@pytest.mark.parametrize(
    "value", ["http://me:hunter2@x/y", "http://x/?key=hunter2", "//a@hunter2@"]
)
def test_what_may_be_a_password_in_a_url_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("GATE", value)
    with pytest.raises(SettingsError) as caught:
        load(Garden)
    assert "hunter2" not in str(caught.value)
