"""The sources of a service: which of them changed, and whether they can be read by Python.

They are looked at again and again. A hundred files take a millisecond, and no limit of the kernel's
and no editor's way of saving is in the way.
"""

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

type _Stamp = tuple[int, int, int]

_LEFT_OUT = frozenset({"__pycache__", "tests"})


class Sources:
    """The files below some folders of a workspace, but for tests and hidden files."""

    def __init__(self, workspace: Path, folders: Sequence[str]) -> None:
        self._workspace = workspace
        self._folders = folders
        self._known = self._look()
        self._seen = self._known
        self._broken: dict[Path, str] = {}

    def paths(self) -> list[Path]:
        """Every file there is."""
        return sorted(self._known)

    def changed(self) -> list[Path]:
        """What changed, came or went since the last call that said so.

        A change is told of when a second look finds nothing new: many files may change in a row.
        """
        now = self._look()
        if now == self._known or now != self._seen:
            self._seen = now
            return []
        differing = self._known.items() ^ now.items()
        self._known = now
        return sorted({path for path, _ in differing})

    def broken(self, paths: Iterable[Path]) -> list[str]:
        """What is wrong with these and with those found wrong before: `FILE:LINE: what`."""
        for path in {*paths, *self._broken}:
            problem = _problem(path)
            if problem is None:
                self._broken.pop(path, None)
            else:
                self._broken[path] = f"{path.relative_to(self._workspace)}{problem}"
        return [self._broken[path] for path in sorted(self._broken)]

    def _look(self) -> dict[Path, _Stamp]:
        found = {}
        for name in self._folders:
            for folder, folders, files in os.walk(self._workspace / name):
                folders[:] = [
                    each for each in folders if each not in _LEFT_OUT and not each.startswith(".")
                ]
                for file in files:
                    # Editors try a folder out with files that have no suffix.
                    if file.startswith(".") or file.endswith("~") or "." not in file:
                        continue
                    path = Path(folder, file)
                    try:
                        status = path.stat()
                    except OSError:
                        continue
                    found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
        return found


def _problem(path: Path) -> str | None:
    if path.suffix != ".py":
        return None
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        return f": {error.strerror}"
    try:
        with warnings.catch_warnings(action="ignore"):
            compile(content, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        return f":{error.lineno or 1}: {error.msg}"
    except ValueError as error:
        return f":1: {error}"
    return None
