"""What a package or a wheel ships and an image leaves out: globs with a reason each."""

import re
import tomllib
from fnmatch import translate
from pathlib import Path

from rules.layers.tree import LayerError


class Exclusions:
    """Globs over absolute paths in the image; `*` matches "/" too.

    A file is TOML: a table `exclude` of globs and reasons, and a table `keep` of globs that win
    over those.
    """

    def __init__(self, files: list[Path]) -> None:
        exclude: list[str] = []
        keep: list[str] = []
        for file in files:
            exclude += _globs(file, "exclude")
            keep += _globs(file, "keep")
        self._exclude = _pattern(exclude)
        self._keep = _pattern(keep)

    def __contains__(self, path: str) -> bool:
        absolute = f"/{path}"
        return bool(self._exclude.match(absolute)) and not self._keep.match(absolute)


def _globs(file: Path, table: str) -> list[str]:
    try:
        data = tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as error:
        raise LayerError(f"{file}: not TOML: {error}") from None
    entries = data.get(table, {})
    for glob, reason in entries.items():
        if not glob.startswith(("/", "*")) or not isinstance(reason, str) or not reason:
            raise LayerError(f"{file}: {glob!r}: expected an absolute glob with a reason")
    return list(entries)


def _pattern(globs: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(glob) for glob in globs) or r"(?!)")
