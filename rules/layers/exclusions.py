"""What a package or a wheel ships and an image leaves out: globs with a reason each."""

import re
import tomllib
from collections.abc import Sequence
from fnmatch import translate
from functools import cache
from pathlib import Path

from rules.layers.tree import LayerError


class Exclusions:
    """Globs over absolute paths in the image; `*` matches "/" too.

    A file is TOML: a table `exclude` of globs and reasons, and a table `keep` of globs that win
    over those.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._exclude, self._keep = _patterns(
            tuple((str(file), file.read_text()) for file in files)
        )

    def __contains__(self, path: str) -> bool:
        absolute = f"/{path}"
        return bool(self._exclude.match(absolute)) and not self._keep.match(absolute)


# A worker packs one wheel after another with the same files.
@cache
def _patterns(files: Sequence[tuple[str, str]]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    exclude: list[str] = []
    keep: list[str] = []
    for name, text in files:
        exclude += _globs(name, text, "exclude")
        keep += _globs(name, text, "keep")
    return _pattern(exclude), _pattern(keep)


def _globs(name: str, text: str, table: str) -> list[str]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LayerError(f"{name}: not TOML: {error}") from None
    entries = data.get(table, {})
    for glob, reason in entries.items():
        if not glob.startswith(("/", "*")) or not isinstance(reason, str) or not reason:
            raise LayerError(f"{name}: {glob!r}: expected an absolute glob with a reason")
    return list(entries)


def _pattern(globs: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(glob) for glob in globs) or r"(?!)")
