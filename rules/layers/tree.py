"""The files of a layer before they are written: each path once, with where it came from.

What wheels' programs load has named tuples: data classes take longer to import than a small wheel
takes to be packed, and there are fifty.
"""

import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple


class LayerError(Exception):
    """The layer cannot be written as asked; the text says what was expected and what came."""


class File(NamedTuple):
    """A regular file; `content` is bytes in hand, the place to read them from, or what gives them.

    `made_of` are the absolute paths of the files that it was made of here, which need not be in the
    image; empty for one that is as its origin has it. `stripped` is the sha256, in hex, of what its
    origin has, of which what no process sees was taken out.
    """

    content: bytes | Path | Callable[[], bytes]
    executable: bool
    origin: str
    made_of: tuple[str, ...] = ()
    stripped: str = ""

    def read(self) -> bytes:
        """The file's bytes."""
        if isinstance(self.content, bytes):
            return self.content
        return self.content.read_bytes() if isinstance(self.content, Path) else self.content()


class Symlink(NamedTuple):
    """A symbolic link; `target` is as readlink(2) gives it."""

    target: str
    origin: str


class Directory(NamedTuple):
    """A directory, root's, mode 0755."""

    origin: str


Entry = File | Symlink | Directory


def normal(path: str) -> str:
    """A path relative to the root of the image, without leading "/" or "./".

    Raises `LayerError` for a path that leaves the root.
    """
    clean = posixpath.normpath("/" + path.removeprefix("."))[1:].lstrip("/")
    if not clean or ".." in path.split("/") or "\n" in path:
        raise LayerError(f"{path!r} is not a path inside an image")
    return clean


class Tree:
    """Entries by path. Two sources may give one path only where they agree on what it is."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def add(self, path: str, entry: Entry) -> None:
        """Adds an entry; raises `LayerError` naming both sources where they disagree."""
        path = normal(path)
        known = self._entries.get(path)
        if known is None:
            self._entries[path] = entry
        elif not _agree(known, entry):
            raise LayerError(f"/{path} comes from {known.origin} and, different, {entry.origin}")

    def remove(self, path: str) -> Entry:
        """Takes an entry out and returns it."""
        return self._entries.pop(path)

    def paths(self) -> list[str]:
        """Every path that was added, sorted."""
        return sorted(self._entries)

    def files(self) -> Iterator[tuple[str, File]]:
        """The regular files by path, sorted."""
        for path, entry in sorted(self._entries.items()):
            if isinstance(entry, File):
                yield path, entry

    def sorted(self) -> list[tuple[str, Entry]]:
        """Every entry and its parents, sorted; raises `LayerError` where a parent is a file."""
        complete: dict[str, Entry] = dict(self._entries)
        for path, entry in self._entries.items():
            for parent in _parents(path):
                found = complete.setdefault(parent, Directory(entry.origin))
                if not isinstance(found, Directory):
                    raise LayerError(
                        f"/{path} from {entry.origin} lies below /{parent}, which {found.origin} "
                        "makes no directory"
                    )
        # A parent sorts before what it holds, whatever characters follow its name.
        return sorted(complete.items(), key=lambda item: item[0].split("/"))


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def _agree(left: Entry, right: Entry) -> bool:
    if isinstance(left, File) and isinstance(right, File):
        return left.executable == right.executable and left.read() == right.read()
    if isinstance(left, Symlink) and isinstance(right, Symlink):
        return left.target == right.target
    return isinstance(left, Directory) and isinstance(right, Directory)
