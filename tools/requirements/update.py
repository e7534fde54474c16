"""Resolves each requirements.in anew and writes requirements_lock.txt, for every CPU at once."""

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from tools.locks import files, wheels
from tools.locks.error import LockError
from tools.requirements import pip_settings
from tools.signals.termination import terminable
from tools.terminal.result import tell

# Each has a requirements.in and the lock made of it: what is built and tested here, and what only a
# test runs, held to no version of the former.
FOLDERS = (".", "tests/operations", "tests/remote", "tools/site")
_REQUIREMENTS = "requirements.in"
LOCK = "requirements_lock.txt"
_PYTHON = "3.13"
_COMMAND = "tools/bazel run //:requirements.update"


@dataclass(frozen=True)
class Resolved:
    """A new lock's text, and the versions by package of the old one and of this."""

    before: dict[str, str]
    after: dict[str, str]
    text: str


Run = Callable[[list[str], Path, dict[str, str]], int]


def resolve(folder: Path, packages: list[str], uv: Path, run: Run) -> Resolved:
    """The lock of a folder as it would be now; the folder stays as it is.

    `packages` are those whose versions may change, besides what they need; all, where none is
    named. `run` starts a program in a folder and returns its exit code.

    Raises:
        LockError: uv fails, or writes what is no lock.
    """
    place = folder / LOCK
    before = _versions(place) if place.exists() else {}
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{LOCK}-") as scratch:
        beside = Path(scratch, LOCK)
        if packages and place.exists():
            # uv keeps the versions that stand in the file it writes.
            beside.write_bytes(place.read_bytes())
        _resolve(folder, beside, packages, uv, run)
        return Resolved(before, _versions(beside), beside.read_text())


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What differs between two locks.

    >>> changes({"a": "1", "b": "1"}, {"b": "2", "c": "1"})
    ['- a 1', '  b 1 -> 2', '+ c 1']
    """
    lines = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if new is None:
            lines.append(f"- {name} {old}")
        elif old is None:
            lines.append(f"+ {name} {new}")
        else:
            lines.append(f"  {name} {old} -> {new}")
    return lines


def _resolve(folder: Path, output: Path, packages: list[str], uv: Path, run: Run) -> None:
    settings = pip_settings.read(os.environ)
    command = [
        str(uv),
        *("pip", "compile", _REQUIREMENTS, f"--output-file={output}", "--quiet"),
        *("--universal", f"--python-version={_PYTHON}", f"--python={sys.executable}"),
        *("--generate-hashes", "--no-strip-extras", "--only-binary=:all:"),
        *("--no-python-downloads", f"--custom-compile-command={_COMMAND}"),
        *(f"--upgrade-package={package}" for package in packages),
    ]
    # Where the person has told uv itself how to reach an index, that counts.
    told = any(name.startswith(("UV_INDEX", "UV_DEFAULT_INDEX")) for name in os.environ)
    attempts = [[]] if told else settings.uv_options()
    environment = settings.uv_environment() | dict(os.environ)
    for options in attempts:
        code = run([*command, *options], folder, environment)
        if code == 0:
            return
    raise LockError(
        f"uv failed with exit code {code}; {LOCK} is as it was. Indexes are those of `pip config "
        "list`: name one with `pip config set global.index-url URL` or PIP_INDEX_URL."
    )


def _versions(file: Path) -> dict[str, str]:
    """Versions by package; several, where markers tell them apart."""
    found: dict[str, list[str]] = {}
    for pin in wheels.read(file, LOCK):
        found.setdefault(pin.name.replace("_", "-"), []).append(pin.version)
    return {name: ", ".join(versions) for name, versions in found.items()}


def program() -> Path:
    """uv, which its wheel puts beside site-packages; raises `LockError` where it is missing."""
    spec = importlib.util.find_spec("uv")
    if spec is None or spec.origin is None:
        raise LockError("the uv package is not importable; expected it among this program's deps")
    return Path(spec.origin).parents[2] / "bin/uv"


def start(command: list[str], folder: Path, environment: dict[str, str]) -> int:
    """Runs a program in a folder and returns its exit code."""
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


def _known(packages: Iterable[str], resolved: Iterable[Resolved]) -> None:
    """Raises `LockError` for a name that no lock has, old or new: uv passes over it."""
    every = {name for lock in resolved for name in (*lock.before, *lock.after)}
    if unknown := [name for name in packages if canonicalize_name(name) not in every]:
        raise LockError(
            f"no lock has {', '.join(unknown)}: expected a wheel of a {LOCK}, or one that a "
            f"{_REQUIREMENTS} names"
        )


@terminable()
def main(arguments: list[str]) -> int:
    """Updates the locks of the workspace that `bazel run` was started in, all or none."""
    parser = argparse.ArgumentParser(prog=f"{_COMMAND} --", description=__doc__)
    parser.add_argument(
        "packages", nargs="*", help="those whose versions may change (all where none is named)"
    )
    options = parser.parse_args(arguments)
    folder = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    if folder is None:
        print(f"start this with `{_COMMAND}`", file=sys.stderr)
        return 1
    place = Path(LOCK)
    try:
        resolved = {}
        for name in FOLDERS:
            place = Path(name, LOCK)
            resolved[name] = resolve(Path(folder, name), options.packages, program(), start)
        place = Path(LOCK)
        _known(options.packages, resolved.values())
        files.replace({Path(folder, name, LOCK): lock.text for name, lock in resolved.items()})
    except (LockError, OSError) as error:
        print(f"{place}: {error}. No lock was written", file=sys.stderr)
        return 1
    lines = []
    for name, lock in resolved.items():
        changed = changes(lock.before, lock.after)
        lines += [f"{Path(name, LOCK)}:", *(changed or ["nothing changed"])]
    if not options.packages:
        lines.append(f"All wheels were free to move. For one alone: {_COMMAND} -- NAME")
    tell("\n".join([*lines, ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
