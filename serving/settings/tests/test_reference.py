"""The generated page: every section, every variable, its default and its limits."""

from typing import ClassVar, Literal

from pydantic import Field, SecretStr

from serving.identity import Identity
from serving.settings.reference import reference
from serving.settings.section import Names, Seconds, Section, secret

IDENTITY = Identity(name="shop-till", title="Till", module="till", version="1")


class Till(Section):
    TITLE: ClassVar[str] = "Till"
    PRODUCTION: ClassVar = {"is_locked": True, "wait": 5.0}

    coins: int = Field(3, ge=0, le=9, description="Coins in it.")
    notes: int = Field(10, ge=1, le=10_000_000, description="Notes in it.")
    wait: Seconds = Field(0.5, description="Time for a beep, in seconds.")
    is_locked: bool = Field(False, description="Whether it opens.")
    mood: Literal["good", "bad"] = Field("good", description="Yes|no.")
    heirs: Names = Field((), description="Whose it is.")
    code: SecretStr | None = secret(description="Opens it.")


def row(name: str) -> str:
    page = reference(IDENTITY, Till)
    return next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))


def test_each_section_is_a_table_under_its_title() -> None:
    page = reference(IDENTITY, Till)
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert headings == ["# Configuration", "## General", "## Till"]
    assert page.endswith("|\n")


def test_the_page_names_the_command_that_makes_it() -> None:
    assert "tools/bazel run //till -- configuration" in reference(IDENTITY, Till)


def test_a_variable_has_its_default_its_meaning_and_its_limits() -> None:
    assert row("COINS") == "| `COINS` | `3` |  | Coins in it. From 0 to 9. |"
    assert row("NOTES") == "| `NOTES` | `10` |  | Notes in it. From 1 to 10000000. |"
    assert row("HEIRS") == "| `HEIRS` | unset |  | Whose it is. |"


def test_defaults_of_production_have_a_column() -> None:
    assert row("IS_LOCKED") == "| `IS_LOCKED` | `false` | `true` | Whether it opens. |"
    assert row("WAIT").startswith("| `WAIT` | `0.5` | `5` | Time for a beep, in seconds. Above 0")


def test_choices_are_listed_and_bars_do_not_break_the_table() -> None:
    assert row("MOOD") == "| `MOOD` | `good` |  | Yes\\|no. One of `good`, `bad`. |"


def test_a_secret_is_called_one() -> None:
    assert row("CODE") == "| `CODE` | unset |  | Opens it. Secret. |"
