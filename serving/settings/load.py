"""Reading settings from the environment, with every problem told at once."""

import re

from pydantic import ValidationError

from serving.settings.errors import SettingsError
from serving.settings.secrets import MASK, is_secret, unreadable
from serving.settings.section import TOGETHER, Section


def load[S: Section](settings: type[S]) -> S:
    """Read the environment.

    Raises:
        SettingsError: with every problem there is, not only the first.
    """
    with unreadable() as files:
        try:
            loaded = settings()
        except ValidationError as error:
            problems, invalid = describe(settings, error)
        else:
            if not files:
                return loaded
            problems, invalid = [], set()
        return _report(settings, files, problems, invalid)


def without_credentials(value: object) -> str:
    """A value for a message; of a URL neither what precedes the host nor the query."""
    return re.sub(r"(?<=//).*@|(?<=\?).+(?=')", MASK, repr(value), flags=re.DOTALL)


def _report[S: Section](
    settings: type[S], files: dict[str, str], problems: list[str], invalid: set[str]
) -> S:
    """Raise a SettingsError with all there is to say."""
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
            more, _ = describe(settings, error)
            problems += [line for line in more if line.split(":")[0].lower() not in invalid]
    # What is missing because its file cannot be read is not missing besides.
    problems = [line for line in problems if line.split(":")[0].lower() not in files]
    raise SettingsError([*files.values(), *problems])


def describe(settings: type[Section], error: ValidationError) -> tuple[list[str], set[str]]:
    """The lines, in the order of the sections, and the names of the fields that are invalid."""
    by_name: dict[str, str] = {}
    together: list[str] = []
    for one in error.errors(include_url=False):
        if one["type"] == TOGETHER:
            together += one["msg"].splitlines()
            continue
        name = str(one["loc"][0])
        came = MASK if is_secret(settings.model_fields[name]) else without_credentials(one["input"])
        expected = one["msg"].removeprefix("Input should be ").replace("Input should", "it to")
        by_name[name] = f"{name.upper()}: got {came}; expected {expected}"
    ordered = [by_name[name] for name in settings.names() if name in by_name]
    return ordered + together, set(by_name)
