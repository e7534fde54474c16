"""Reading settings from the environment, with every problem told at once."""

from pydantic import ValidationError

from serving.settings.errors import SettingsError
from serving.settings.secrets import is_secret
from serving.settings.section import MASK, TOGETHER, Section


def load[S: Section](settings: type[S]) -> S:
    """Read the environment.

    Raises:
        SettingsError: with every problem there is, not only the first.
    """
    try:
        return settings()
    except SettingsError:
        raise
    except ValidationError as error:
        problems, invalid = _describe(settings, error)
    # Rules over several variables are only checked once each is valid: put the defaults in place
    # of the invalid ones to report those rules in the same go.
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in settings.model_fields.items()
        if name in invalid
    }
    if defaults:
        try:
            settings(**defaults)
        except ValidationError as error:
            more, _ = _describe(settings, error)
            problems += [line for line in more if line.split(":")[0].lower() not in invalid]
    raise SettingsError(problems)


def _describe(settings: type[Section], error: ValidationError) -> tuple[list[str], set[str]]:
    """The lines, in the order of the sections, and the names of the fields that are invalid."""
    by_name: dict[str, str] = {}
    together: list[str] = []
    for one in error.errors(include_url=False):
        if one["type"] == TOGETHER:
            together += one["msg"].splitlines()
            continue
        name = str(one["loc"][0])
        came = MASK if is_secret(settings.model_fields[name]) else repr(one["input"])
        expected = one["msg"].removeprefix("Input should be ").replace("Input should", "it to")
        by_name[name] = f"{name.upper()}: got {came}; expected {expected}"
    ordered = [by_name[name] for name in settings.names() if name in by_name]
    return ordered + together, set(by_name)
