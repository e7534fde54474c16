"""`tools/bazel run //:format [-- PATH...]`: writes files as the tests of their format want them.

Python by ruff, its imports in order; BUILD files, MODULE.bazel and *.bzl by buildifier. What a path
names is taken below the workspace; without one, all of it.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.lint.program import ruff_program

_STARLARK = frozenset({"BUILD", "BUILD.bazel", "MODULE.bazel"})
_HIDDEN = frozenset({".ci"})
_OTHERS = frozenset({"__pycache__", "node_modules"})


def sources(workspace: Path) -> Iterator[Path]:
    """The files that are the workspace's own, as the repository `workspace_sources` has them.

    That one learns of a new file only when its BUILD file changes, or Bazel's server starts.
    """
    for folder, folders, names in os.walk(workspace):
        folders[:] = sorted(
            name
            for name in folders
            if (name in _HIDDEN or not name.startswith("."))
            and name not in _OTHERS
            and not Path(folder, name, "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            if not Path(folder, name).is_symlink():
                yield Path(folder, name)


def main(arguments: list[str], workspace: Path, buildifier: Path) -> int:
    """Formats what is named; returns 1 where a file could not be, and was left as it is."""
    parser = argparse.ArgumentParser(
        prog="tools/bazel run //:format --",
        description="Write Python and Starlark files as the tests of their format want them.",
    )
    parser.add_argument("path", nargs="*", help="a file or folder of the workspace")
    workspace = workspace.resolve()
    named = [(workspace / path).resolve() for path in parser.parse_args(arguments).path]
    there = list(sources(workspace))
    for path in named:
        if not any(file.is_relative_to(path) for file in there):
            parser.error(f"{path} is not there; expected a file or folder of {workspace}")
    found = [
        file for file in there if any(file.is_relative_to(one) for one in named or [workspace])
    ]
    python = [str(file) for file in found if file.suffix == ".py"]
    starlark = [str(file) for file in found if file.name in _STARLARK or file.suffix == ".bzl"]
    ruff = str(ruff_program())
    commands = [
        ([ruff, "check", "--no-cache", "--quiet", "--select=I", "--fix"], python),
        ([ruff, "format", "--no-cache"], python),
        ([str(buildifier), "-mode=fix", "-lint=off"], starlark),
    ]
    codes = [
        subprocess.run([*command, *files], cwd=workspace, check=False).returncode
        for command, files in commands
        if files
    ]
    return 1 if any(codes) else 0


if __name__ == "__main__":
    program = Path(sys.argv[1]).absolute()
    sys.exit(main(sys.argv[2:], Path(os.environ["BUILD_WORKSPACE_DIRECTORY"]), program))
