"""The files of an image: layers applied in order, with whiteouts (OCI image-spec 1.1, layer.md)."""

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

FILE = "file"
DIRECTORY = "directory"
SYMLINK = "symlink"
HARDLINK = "hard link"

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
# As in the kernel (path_resolution(7)).
_MAX_LINKS = 40


@dataclass(frozen=True)
class Entry:
    """One path, absolute and without a slash at its end, except for the root's."""

    path: str
    kind: str
    mode: int
    uid: int = 0
    gid: int = 0
    content: bytes = field(default=b"", repr=False)
    target: str = ""
    modified: int = 0
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return posixpath.basename(self.path)

    @property
    def size(self) -> int:
        """Of the content, in bytes."""
        return len(self.content)

    @property
    def executable(self) -> bool:
        """Whether it is a file that somebody may execute."""
        return self.kind == FILE and bool(self.mode & 0o111)


class Filesystem:
    """Entries by path, as a container's root file system has them."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: dict[str, Entry] = {}
        # Below which there is something, or was: most paths are files, which nothing is below.
        self._folders: set[str] = set()
        for entry in entries:
            self._add(entry)

    @classmethod
    def of_layers(cls, layers: Iterable[Sequence[Entry]]) -> "Filesystem":
        """Applies layers in order.

        A whiteout removes what lower layers have, never what its own layer brings. A hard link
        becomes a file with its target's content.
        """
        files = cls()
        for entries in layers:
            for entry in entries:
                folder, name = posixpath.split(entry.path)
                if name == _OPAQUE:
                    files._remove_below(folder)
                elif name.startswith(_WHITEOUT):
                    files._remove(posixpath.join(folder, name.removeprefix(_WHITEOUT)))
            for entry in entries:
                if not posixpath.basename(entry.path).startswith(_WHITEOUT):
                    files._put(entry)
        return files

    def _put(self, entry: Entry) -> None:
        if entry.kind != DIRECTORY:
            self._remove_below(entry.path)
        if entry.kind == HARDLINK:
            original = self._entries.get(posixpath.join("/", entry.target))
            if original is not None:
                entry = replace(original, path=entry.path)
        self._add(entry)

    def _add(self, entry: Entry) -> None:
        self._entries[entry.path] = entry
        folder = posixpath.dirname(entry.path)
        while folder not in self._folders:
            self._folders.add(folder)
            folder = posixpath.dirname(folder)

    def _remove(self, path: str) -> None:
        self._entries.pop(path, None)
        self._remove_below(path)

    def _remove_below(self, path: str) -> None:
        if path not in self._folders:
            return
        prefix = path.rstrip("/") + "/"
        for found in [found for found in self._entries if found.startswith(prefix)]:
            if found != "/":
                del self._entries[found]

    def __iter__(self) -> Iterator[Entry]:
        return iter(entry for _, entry in sorted(self._entries.items()))

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, path: str) -> Entry | None:
        """The entry at exactly this path; links are not followed."""
        return self._entries.get(path)

    def below(self, folder: str) -> Iterator[Entry]:
        """The entries that lie somewhere below a folder, in no order."""
        prefix = folder.rstrip("/") + "/"
        return (entry for path, entry in self._entries.items() if path.startswith(prefix))

    def resolve(self, path: str) -> Entry | None:
        """The entry that a process in the container reaches by an absolute path, if any."""
        remaining = _parts(path)
        at = "/"
        links = 0
        while remaining:
            part = remaining.pop(0)
            if part == "..":
                at = posixpath.dirname(at)
                continue
            here = posixpath.join(at, part)
            entry = self._at(here)
            if entry is None:
                return None
            if entry.kind == SYMLINK:
                links += 1
                if links > _MAX_LINKS:
                    return None
                at = "/" if entry.target.startswith("/") else at
                remaining = _parts(entry.target) + remaining
            elif remaining and entry.kind != DIRECTORY:
                return None
            else:
                at = here
        return self._at(at)

    def _at(self, path: str) -> Entry | None:
        """The entry at a path; a layer need not have the folders that its files lie in."""
        entry = self._entries.get(path)
        if entry is None and (path == "/" or next(self.below(path), None)):
            return Entry(path, DIRECTORY, 0o755)
        return entry


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]
