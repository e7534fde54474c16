"""Both kinds of locks, of Debian packages and of wheels, as they would be now.

What is resolved is held in memory, and written only when all of it is there.
"""

import os
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from rules.debian import update as debian
from rules.update.change import Change
from rules.update.error import RefusedError
from tools.locks import files
from tools.locks.error import LockError
from tools.locks.wheels import read as read_wheels
from tools.requirements import update as wheels

KINDS = DEBIAN, WHEELS = "debian", "wheels"


@dataclass(frozen=True)
class Lock:
    """A lock as it would be now: `path` is relative to the workspace."""

    path: str
    text: str
    changes: tuple[Change, ...]


def resolve(
    workspace: Path,
    folders: Sequence[str] | None = None,
    only: str | None = None,
    named: Sequence[str] = (),
) -> list[Lock]:
    """The locks in some folders of a workspace, or in all that have some.

    `only` is one of `KINDS`. `named` are packages and wheels whose versions may change, besides
    what a wheel needs; all, where none is named. Locks that have none of them are left out.

    Raises:
        RefusedError: apt or uv fails, a signature is wrong, or no lock has a name.
    """
    debs = [] if only == WHEELS else debian.FOLDERS if folders is None else folders
    requirements = [] if only == DEBIAN else wheels.FOLDERS if folders is None else folders
    try:
        listed = {
            name: debian.wanted(workspace / name)
            for name in debs
            if (workspace / name / "packages.toml").exists()
        }
    except debian.UpdateError as error:
        raise RefusedError(str(error)) from None
    locked = {
        name: _locked(workspace / name)
        for name in requirements
        if (workspace / name / "requirements.in").exists()
    }
    _known(named, [*listed.values(), *locked.values()])
    return [
        *(
            _debs(workspace, name, _of(named, has))
            for name, has in listed.items()
            if not named or _of(named, has)
        ),
        *(
            _wheels(workspace, name, _of(named, has))
            for name, has in locked.items()
            if not named or _of(named, has)
        ),
    ]


def _locked(folder: Path) -> set[str]:
    """The names of the wheels that a folder's lock has; none where there is no lock yet."""
    place = folder / wheels.LOCK
    if not place.exists():
        return set()
    try:
        return {canonicalize_name(pin.name) for pin in read_wheels(place, wheels.LOCK)}
    except LockError as error:
        raise RefusedError(f"{place}: {error}") from None


def _of(named: Iterable[str], names: Container[str]) -> list[str]:
    """Which of the names some others have; a wheel's may be written in other ways (PEP 503)."""
    return [
        spelt
        for name in named
        if (spelt := next((each for each in (name, canonicalize_name(name)) if each in names), ""))
    ]


def _known(named: Iterable[str], names: Iterable[Container[str]]) -> None:
    every = list(names)
    unknown = [name for name in named if not any(_of([name], each) for each in every)]
    if unknown:
        raise RefusedError(
            f"no lock has {', '.join(unknown)}: expected a package that a packages.toml lists, or "
            "a wheel of a requirements_lock.txt. docs/extend.md says how a new one is added"
        )


def _debs(workspace: Path, name: str, named: Sequence[str]) -> Lock:
    path = f"{name}/lock.json"
    try:
        packages, text = debian.resolve(workspace / name, named)
        old = {(each.name, each.architecture): each for each in debian.read_lock(workspace / path)}
    except (debian.UpdateError, LockError, ValueError) as error:
        raise RefusedError(f"{path}: {error}") from None
    new = {(each.name, each.architecture): each for each in packages}
    both = old.keys() & new.keys()
    for key in sorted(both):
        was, now = old[key], new[key]
        if was.version == now.version and was.sha256 != now.sha256:
            raise RefusedError(
                f"{path}: {now.name} {now.version} ({now.architecture}) has sha256 {now.sha256}, "
                f"expected {was.sha256}, which is locked: a version never changes its bytes. Ask "
                "another mirror"
            )
    # One line for both CPUs, whose versions are the same but for rebuilds of one of them. A move to
    # another suite is none.
    changes = {
        Change("Debian", key[0], _version(old.get(key)), _version(new.get(key)))
        for key in old.keys() | new.keys()
        if _version(old.get(key)) != _version(new.get(key))
    }
    return Lock(path, text, tuple(sorted(changes)))


def _version(package: debian.Package | None) -> str:
    return package.version if package else ""


def _wheels(workspace: Path, name: str, named: Sequence[str]) -> Lock:
    path = str(Path(name, wheels.LOCK))
    try:
        found = wheels.resolve(workspace / name, list(named), wheels.program(), wheels.start)
    except LockError as error:
        raise RefusedError(f"{path}: {error}") from None
    changes = [
        Change("PyPI", package, found.before.get(package, ""), found.after.get(package, ""))
        for package in sorted(found.before.keys() | found.after.keys())
        if found.before.get(package) != found.after.get(package)
    ]
    return Lock(path, found.text, tuple(changes))


def write(workspace: Path, locks: Sequence[Lock]) -> None:
    """Writes all of them or none; raises `RefusedError` where one cannot be written."""
    try:
        files.replace({workspace / lock.path: lock.text for lock in locks})
    except OSError as error:
        raise RefusedError(f"the locks stay as they were: {error}") from None


def workspace() -> Path:
    """The workspace that `bazel run` was started in; raises `RefusedError` where it was not."""
    folder = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    if not folder:
        raise RefusedError("started by itself; start it with `tools/bazel run`")
    return Path(folder)
