"""Sections: fields, order, defaults of production, rules over several variables."""

from collections.abc import Iterator
from typing import ClassVar

import pytest
from pydantic import SecretStr, ValidationError

from serving.settings.secrets import MASK
from serving.settings.section import PLACEHOLDER, Names, Seconds, Section, secret, split_list


class Kitchen(Section):
    TITLE: ClassVar[str] = "Kitchen"
    PRODUCTION: ClassVar = {"ovens": 4, "timer": 60.0}

    ovens: int = 1
    timer: Seconds = 5.0
    recipe: SecretStr | None = secret()

    def conflicts(self) -> Iterator[str]:
        if self.ovens > 9:
            yield f"OVENS: got {self.ovens}; expected fewer"


class Hall(Section):
    TITLE: ClassVar[str] = "Hall"

    tables: Names = ()
    is_open: bool = False

    def conflicts(self) -> Iterator[str]:
        if self.is_open and not self.tables:
            yield "TABLES: got nothing; expected one, because IS_OPEN is true"


class House(Kitchen, Hall):
    timer: Seconds = 7.0
    name: str = "inn"


@pytest.mark.parametrize(
    ("text", "parts"),
    [("a,b", ("a", "b")), (" a , ,b,", ("a", "b")), ("", ()), (("a", "b"), ("a", "b")), (7, 7)],
)
def test_a_list_is_separated_by_commas_and_blanks_do_not_count(text: object, parts: object) -> None:
    assert split_list(text) == parts


def test_sections_come_in_the_order_of_their_bases_and_fields_stay_in_theirs() -> None:
    sections = [(section.TITLE, names) for section, names in House.sections()]
    assert sections == [
        ("General", ["environment"]),
        ("Kitchen", ["ovens", "timer", "recipe"]),
        ("Hall", ["tables", "is_open"]),
        ("Kitchen", ["name"]),
    ]
    assert House.names() == ["environment", "ovens", "timer", "recipe", "tables", "is_open", "name"]


def test_a_service_may_declare_a_field_anew_for_another_default() -> None:
    assert House().timer == 7.0


def test_production_has_defaults_of_its_own() -> None:
    assert (House(environment="prod").ovens, House(environment="prod").timer) == (4, 60.0)
    assert (House().ovens, House.production()) == (1, {"ovens": 4, "timer": 60.0})


def test_what_is_set_comes_before_the_default_of_production(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "prod")
    monkeypatch.setenv("OVENS", "2")
    assert House().ovens == 2


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVENS", "")
    assert House().ovens == 1


def test_the_rules_of_every_section_are_checked_and_told_together() -> None:
    with pytest.raises(ValidationError) as caught:
        House(ovens=10, is_open=True)
    message = caught.value.errors()[0]["msg"]
    assert message.splitlines() == [
        "OVENS: got 10; expected fewer",
        "TABLES: got nothing; expected one, because IS_OPEN is true",
    ]


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        House().ovens = 2  # type: ignore[misc]


def test_what_is_shown_is_written_as_it_is_read_and_secrets_are_masked() -> None:
    house = House(recipe=SecretStr("butter"), tables=("a", "b"), is_open=True, timer=7)
    assert house.shown() == {
        "ENVIRONMENT": "dev",
        "OVENS": "1",
        "TIMER": "7",
        "RECIPE": MASK,
        "TABLES": "a,b",
        "IS_OPEN": "true",
        "NAME": "inn",
    }
    assert House().shown()["RECIPE"] == ""


def test_a_file_path_is_no_secret() -> None:
    shown = House(recipe=SecretStr("sqlite:///inn.db")).shown()
    assert shown["RECIPE"] == "sqlite:///inn.db"


def test_an_example_is_no_secret_in_production() -> None:
    with pytest.raises(ValidationError) as caught:
        House(environment="prod", recipe=SecretStr(f"flour: {PLACEHOLDER}"))
    assert caught.value.errors()[0]["msg"] == (
        "RECIPE: got an example; expected a secret of your own in its place"
    )


def test_an_example_is_good_enough_for_development() -> None:
    House(environment="dev", recipe=SecretStr(PLACEHOLDER))
