"""Runs a checker over all of the workspace's files of one language."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path


def files(folder: Path, suffix: str) -> list[str]:
    """The files below a folder whose names end so, as paths from there."""
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob(f"*{suffix}"))
    if not found:
        raise SystemExit(f"{folder}: no files named *{suffix}; expected the workspace's")
    return found


def ruff_program() -> Path:
    """The program ruff, which its wheel puts beside site-packages."""
    spec = importlib.util.find_spec("ruff")
    if spec is None or spec.origin is None:
        raise SystemExit("the ruff package is not importable; expected it among the target's deps")
    return Path(spec.origin).parents[2] / "bin/ruff"


def ruff(arguments: list[str], folder: Path) -> int:
    """Runs ruff over the Python files; returns its exit code."""
    environment = os.environ | {"RUFF_NO_CACHE": "true"}
    command = [str(ruff_program()), *arguments, *files(folder, ".py")]
    done = subprocess.run(command, cwd=folder, env=environment, check=False)
    return done.returncode


def mypy(arguments: list[str], folder: Path) -> int:
    """Runs mypy in this process, so that it sees the packages that this process can import."""
    from mypy import main  # noqa: PLC0415 - the tests that run ruff have no mypy

    os.chdir(folder)
    # It ends this process itself, and at once: to free all that it knows would take a fifth of the
    # time.
    main.main(args=["--cache-dir=/dev/null", *arguments, *files(folder, ".py")])
    return 0


def buildifier(arguments: list[str], folder: Path) -> int:
    """Runs buildifier, whose path comes first, on copies under the names that files really have."""
    program, *options = arguments
    return _on_copies([str(Path(program).absolute()), *options], folder, ".starlark")


def shellcheck(arguments: list[str], folder: Path) -> int:
    """Runs shellcheck, a program of the builder root, over the shell scripts."""
    program = shutil.which("shellcheck")
    if program is None:
        raise SystemExit("shellcheck is not in PATH. On Debian: apt-get install shellcheck")
    return _on_copies([program, *arguments], folder, ".shell")


def _on_copies(command: list[str], folder: Path, suffix: str) -> int:
    with tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR")) as scratch:
        names = []
        for file in files(folder, suffix):
            name = file.removesuffix(suffix)
            place = Path(scratch, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            # The template of Bazel's Python rules, whose first line becomes a shebang.
            text = (folder / file).read_bytes().replace(b"%shebang%", b"#!/bin/sh")
            place.write_bytes(text)
            names.append(name)
        return subprocess.run([*command, *names], cwd=scratch, check=False).returncode


CHECKERS: dict[str, Callable[[list[str], Path], int]] = {
    "buildifier": buildifier,
    "mypy": mypy,
    "ruff": ruff,
    "shellcheck": shellcheck,
}

if __name__ == "__main__":
    checker, settings, *rest = sys.argv[1:]
    workspace = Path(settings).absolute().parent
    sys.exit(CHECKERS[checker](rest, workspace))
