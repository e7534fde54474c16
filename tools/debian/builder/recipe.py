"""The recipe of the builder root: which packages of which suite, and what of them stays out."""

import itertools
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

    `free_space` and `free_space_tests` are in MB (10**6 bytes), for `packages` and `tests`; the
    latter are packages that only tests call. `exclude` are dpkg path globs; `omit` are packages
    that apt takes as being there, whoever depends on them.
    """

    suite: str
    snapshot: str
    packages: tuple[str, ...]
    exclude: tuple[str, ...]
    free_space: int
    omit: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    free_space_tests: int = 0


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
            tests=tuple(sorted(data["tests"])),
            free_space_tests=int(data["free_space_tests"]),
        )
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BuilderError(f"{file}: not TOML: {error}") from None
    except KeyError as error:
        raise BuilderError(f"{file}: {error} is missing") from None
    if not _SNAPSHOT.fullmatch(recipe.snapshot):
        raise BuilderError(
            f"{file}: snapshot is {recipe.snapshot!r}; expected a time such as 20261030T080801Z"
        )
    for package in (*packages, *recipe.tests, *recipe.omit):
        if not _PACKAGE.fullmatch(package):
            raise BuilderError(f"{file}: {package!r} is not the name of a Debian package")
    tables = {"packages": packages, "tests": recipe.tests, "omit": recipe.omit}
    for (one, first), (other, second) in itertools.combinations(tables.items(), 2):
        if both := sorted({*first} & {*second}):
            raise BuilderError(f"{file}: {both[0]} is both in [{one}] and in [{other}]; remove one")
    return recipe
