"""A scratch copy of the workspace with many services, each a copy of `examples/hello`."""

import re
import shutil
import subprocess
from pathlib import Path

_PATTERN = Path("examples/hello")
_FOLDER = Path("grown")


class GrowthError(Exception):
    """The growth cannot be measured; the text says what was expected, and what to do."""


def copy(workspace: Path, scratch: Path) -> None:
    """Copies what git would commit.

    Raises:
        GrowthError: the workspace is no git checkout.
    """
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=workspace, capture_output=True, check=False)
    if listed.returncode:
        raise GrowthError(f"{workspace}: git checkout expected: {listed.stderr.decode().strip()}")
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = workspace / name, scratch / name
        # Else it is deleted, and not committed yet.
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)


def add(scratch: Path, count: int) -> list[str]:
    """Adds services to a copy of the workspace; returns the packages that they are in."""
    (scratch / _FOLDER).mkdir()
    (scratch / _FOLDER / "__init__.py").write_text('"""Services that were generated."""\n')
    (scratch / _FOLDER / "BUILD.bazel").write_text(
        'load("@rules_python//python:defs.bzl", "py_library")\n\n'
        'py_library(name = "grown", srcs = ["__init__.py"], visibility = ["//visibility:public"])\n'
    )
    return [_add(scratch, f"s{number:03}") for number in range(1, count + 1)]


def _add(scratch: Path, name: str) -> str:
    folder = scratch / _FOLDER / name
    folder.mkdir()
    for source in sorted((scratch / _PATTERN).glob("*.py")):
        (folder / source.name).write_text(_renamed(source.read_text(), name))
    build = (scratch / _PATTERN / "BUILD.bazel").read_text()
    # The manifests of the pattern are of other files.
    build = re.sub(r"\n\[\n    manifests\(.*?\n\]\n", "\n", build, flags=re.DOTALL)
    build = build.replace('"//examples"', f'"//{_FOLDER}"')
    (folder / "BUILD.bazel").write_text(_renamed(build, name))
    return f"{_FOLDER}/{name}"


def _renamed(text: str, name: str) -> str:
    text = text.replace("examples.hello", f"{_FOLDER}.{name}")
    return re.sub(r'"hello"', f'"{name}"', text)


def change(scratch: Path, package: str, number: int) -> None:
    """Adds a line to a service, another one for each number."""
    app = scratch / package / "app.py"
    app.write_text(f"{app.read_text()}\nCHANGE = {number}\n")
