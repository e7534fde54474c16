"""A service's definition, as `service_image` writes it, and files in which it is filled in."""

import json
import string
from collections.abc import Mapping
from pathlib import Path

# What a file may name as ${KEY}; docs/your-service.md says what each is.
KEYS = (
    "container",
    "gid",
    "live_path",
    "metrics_path",
    "module",
    "port",
    "ready_path",
    "service",
    "startup_path",
    "uid",
)

type Definition = Mapping[str, str]


class DefinitionError(Exception):
    """A file asks for what no definition has; the text says where, and what there is."""


def read(file: Path) -> Definition:
    """The keys that files may name, as text; of JSON such as `NAME.service` makes."""
    content = json.loads(file.read_text())
    return {key: str(content[key]) for key in KEYS}


def filled(text: str, definition: Definition, name: str) -> str:
    """The text with each ${KEY} replaced; `$$` is one `$`.

    Raises `DefinitionError` naming the file, called `name`, the line, and the keys there are.
    """
    lines = []
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        try:
            lines.append(string.Template(line).substitute(definition))
        except (KeyError, ValueError) as error:
            raise DefinitionError(
                f"{name}:{number}: expected one of "
                f"{', '.join(f'${{{key}}}' for key in KEYS)} (or $$ for a dollar), "
                f"got {line.strip()!r}"
            ) from error
    return "".join(lines)
