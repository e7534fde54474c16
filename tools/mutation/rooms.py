"""Which tests guard which modules, and which changes they may miss: `mutation.toml`.

Each folder of the root may have one, for the modules below it.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NAME = "mutation.toml"


class RoomError(Exception):
    """A path or the file cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Module:
    """A module that is changed.

    Attributes:
        path: below the root of the repository.
        tests: modules of pytest that have to notice.
        has_fixtures: whether they use those of a conftest.py, which takes time to import.
        survivors: changes that they do not notice, by name, with the reason.
    """

    path: str
    tests: tuple[str, ...]
    has_fixtures: bool = True
    survivors: Mapping[str, str] = field(default_factory=dict)

    @property
    def arguments(self) -> tuple[str, ...]:
        """What pytest is told."""
        return (*(() if self.has_fixtures else ("--noconftest",)), *self.tests)


def of(root: Path) -> list[Module]:
    """The modules of a repository.

    Raises:
        RoomError: a file of it is not as it should be.
    """
    return [
        one for file in sorted(root.glob(f"*/{NAME}")) for one in read(file.read_text(), str(file))
    ]


def read(text: str, name: str = NAME) -> list[Module]:
    """The modules of a text; `name` is for errors.

    Raises:
        RoomError: it is not as it should be.
    """
    try:
        found = tomllib.loads(text)
        survivors: dict[str, dict[str, str]] = found.get("survivors", {})
        modules = [
            Module(
                path,
                tuple(room["tests"]),
                bool(room.get("has_fixtures", True)),
                survivors.get(path, {}),
            )
            for room in found["room"]
            for path in room["modules"]
        ]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise RoomError(
            f"{name}: expected [[room]] with modules and tests, and [survivors]; got {error!r}"
        ) from error
    if unknown := set(survivors) - {one.path for one in modules}:
        raise RoomError(f"{name}: survivors of modules that are in no room: {sorted(unknown)}")
    return modules


def chosen(modules: Sequence[Module], paths: Sequence[str], root: Path) -> list[Module]:
    """The modules that paths name: files, or folders with all that is below.

    Raises:
        RoomError: a path names none.
    """
    wanted: list[Module] = []
    for path in paths:
        plain = Path(path.removeprefix("//")).as_posix().rstrip("/")
        below = [one for one in modules if one.path == plain or one.path.startswith(f"{plain}/")]
        if not below:
            known = ", ".join(sorted({Path(one.path).parent.as_posix() for one in modules}))
            is_there = "is in no room" if (root / plain).exists() else "does not exist"
            raise RoomError(
                f"{path}: {is_there}; expected a module or folder below the root of the repository "
                f"that a {NAME} names: {known}. Add a module there, with its tests"
            )
        wanted += [one for one in below if one not in wanted]
    return wanted
