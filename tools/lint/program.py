"""Runs a checker over the workspace's Python, with the settings of pyproject.toml."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path


def files(folder: Path) -> list[str]:
    """The Python files below a folder, as paths from there."""
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.py"))
    if not found:
        raise SystemExit(f"{folder}: no Python files; expected the workspace's")
    return found


def ruff(arguments: list[str], folder: Path) -> int:
    """Runs ruff, a program that its wheel puts beside site-packages; returns its exit code."""
    spec = importlib.util.find_spec("ruff")
    if spec is None or spec.origin is None:
        raise SystemExit("the ruff package is not importable; expected it among the test's deps")
    program = Path(spec.origin).parents[2] / "bin/ruff"
    environment = os.environ | {"RUFF_NO_CACHE": "true"}
    done = subprocess.run(
        [program, *arguments, *files(folder)], cwd=folder, env=environment, check=False
    )
    return done.returncode


def mypy(arguments: list[str], folder: Path) -> int:
    """Runs mypy in this process, so that it sees the packages that this process can import."""
    from mypy import api  # noqa: PLC0415 - the tests that run ruff have no mypy

    os.chdir(folder)
    output, errors, code = api.run(["--cache-dir=/dev/null", *arguments, *files(folder)])
    sys.stdout.write(output)
    sys.stderr.write(errors)
    return code


if __name__ == "__main__":
    checker, settings, *rest = sys.argv[1:]
    sys.exit({"mypy": mypy, "ruff": ruff}[checker](rest, Path(settings).absolute().parent))
