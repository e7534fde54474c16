"""The recipe of the builder root: which packages of which suite, and what of them stays out."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tools.debian.builder.error import BuilderError

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_SNAPSHOT = re.compile(r"\d{8}T\d{6}Z")


@dataclass(frozen=True)
class Recipe:
    """What goes into the builder root.

    `free_space` is in MB (10**6 bytes); `exclude` are dpkg path globs; `omit` are packages that
    apt takes as being there, whoever depends on them.
    """

    suite: str
    snapshot: str
    packages: tuple[str, ...]
    exclude: tuple[str, ...]
    free_space: int
    omit: tuple[str, ...] = ()


def read(file: Path) -> Recipe:
    """Reads a recipe; raises `BuilderError` naming the file and the entry that is wrong."""
    text = file.read_bytes()
    try:
        data = tomllib.loads(text.decode())
        packages = tuple(sorted(data["packages"]))
        recipe = Recipe(
            suite=data["suite"],
            snapshot=data["snapshot"],
            packages=packages,
            exclude=tuple(data.get("exclude", {})),
            free_space=int(data["free_space"]),
            omit=tuple(sorted(data.get("omit", {}))),
        )
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BuilderError(f"{file}: not TOML: {error}") from None
    except KeyError as error:
        raise BuilderError(f"{file}: {error} is missing") from None
    if not _SNAPSHOT.fullmatch(recipe.snapshot):
        raise BuilderError(
            f"{file}: snapshot is {recipe.snapshot!r}; expected a time such as 20261030T080801Z"
        )
    for package in (*packages, *recipe.omit):
        if not _PACKAGE.fullmatch(package):
            raise BuilderError(f"{file}: {package!r} is not the name of a Debian package")
    if both := sorted({*packages} & {*recipe.omit}):
        raise BuilderError(f"{file}: {both[0]} is both in [packages] and in [omit]; remove one")
    return recipe
