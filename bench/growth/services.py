"""Many services in a scratch copy of the workspace, each a copy of `examples/hello`."""

import re
from pathlib import Path

_PATTERN = Path("examples/hello")
_FOLDER = Path("grown")


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
