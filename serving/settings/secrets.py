"""Secrets in mounted files: `NAME_FILE` names the file that holds `NAME`."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from serving.settings.errors import SettingsError

MASK = "********"

# Where to note files that cannot be read, by the setting's name, instead of raising.
_UNREADABLE: ContextVar[dict[str, str] | None] = ContextVar("unreadable", default=None)


@contextmanager
def unreadable() -> Iterator[dict[str, str]]:
    """Within the block, files that cannot be read are noted, so that all else is checked too."""
    files: dict[str, str] = {}
    token = _UNREADABLE.set(files)
    try:
        yield files
    finally:
        _UNREADABLE.reset(token)


def is_secret(field: FieldInfo) -> bool:
    """Whether a field's value must never be shown."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("secret"))


def _shown(path: str) -> str:
    """A path for a message; what is none may be the secret itself, given by mistake."""
    return repr(path) if path.startswith(("/", "./", "../")) else MASK


class MountedSecrets(PydanticBaseSettingsSource):
    """Reads a secret `NAME` from the file that the variable `NAME_FILE` names.

    A trailing line break is not part of the secret: editors and `kubectl create secret` add one.

    Args:
        settings_cls: the class of settings.
        names: its fields, in the order in which problems are reported.
    """

    def __init__(self, settings_cls: type[BaseSettings], names: Sequence[str]) -> None:
        super().__init__(settings_cls)
        self._names = names

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Read one field's file; `None` where no file is named."""
        if not is_secret(field):
            return None, field_name, False
        variable = field_name.upper()
        name = f"{variable}_FILE"
        path = os.environ.get(name)
        if not path:
            return None, field_name, False
        if os.environ.get(variable):
            raise SettingsError(
                [f"{name}: got {_shown(path)}; expected only one of {variable}, {name}"]
            )
        try:
            value = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            # The error's own text repeats the path.
            reason = error.strerror if isinstance(error, OSError) else error.reason
            raise SettingsError(
                [f"{name}: got {_shown(path)}; expected a readable UTF-8 file ({reason})"]
            ) from error
        return value.rstrip("\r\n"), field_name, False

    def __call__(self) -> dict[str, Any]:
        """All secrets that have a file; every unreadable one is reported, not only the first."""
        values: dict[str, Any] = {}
        files = _UNREADABLE.get()
        problems: dict[str, str] = {} if files is None else files
        for name in self._names:
            try:
                value, _, _ = self.get_field_value(self.settings_cls.model_fields[name], name)
            except SettingsError as error:
                problems[name] = error.problems[0]
                continue
            if value is not None:
                values[name] = value
        if files is None and problems:
            raise SettingsError(list(problems.values()))
        return values
