"""A part of a layer, packed by itself: the entries of a wheel, for the layers of all services.

A gzip file may have several members, which readers unpack as one stream (RFC 1952, section 2.2),
and an archive is one entry after another (POSIX.1-2024, pax). So a layer is its parts, one after
another, and the archive's end.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import deflate

from rules.layers.tree import Directory, Entry, File

# libdeflate's: of twelve, 9 takes twice as long for 0.5 % less, and 10 six times for 3 %.
_LEVEL = 7

# What the contents say of one entry.
Row = Mapping[str, Any]


class Part(NamedTuple):
    """A gzip member of entries, none of which is a folder's, and their rows of the contents."""

    packed: bytes
    rows: Sequence[Row]

    def unpacked(self) -> bytes:
        """The entries, without an end of the archive."""
        return bytes(deflate.gzip_decompress(self.packed))

    @property
    def origin(self) -> str:
        """Where its first entry comes from; empty for a part that has none."""
        return str(self.rows[0]["origin"]) if self.rows else ""

    def files(self) -> Iterator[tuple[str, File]]:
        """Its files by path; their bytes are unpacked when they are read."""
        for row in self.rows:
            path = row["path"].removeprefix("/")
            yield (
                path,
                File(
                    partial(_content, self.packed, path),
                    row["mode"] == "0755",
                    row["origin"],
                    tuple(row.get("made_of", ())),
                    row.get("stripped", ""),
                ),
            )


def _content(packed: bytes, path: str) -> bytes:
    return _contents(packed)[path]


@cache
def _contents(packed: bytes) -> Mapping[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return {
            member.name: stream.read()
            for member in archive
            if (stream := archive.extractfile(member))
        }


def put(content: bytes, file: Path) -> None:
    """Writes a file beside its place and renames it, so that no half of it is ever there."""
    beside = Path(f"{file}.partial")
    beside.write_bytes(content)
    beside.rename(file)


def pack(entries: Iterable[tuple[str, Entry]]) -> Part:
    """Makes a part of entries, in their order."""
    archive, rows = archived(entries)
    return Part(compressed(archive), rows)


def compressed(content: bytes) -> bytes:
    """A gzip member (RFC 1952) without a time or a name, of an unknown system."""
    return bytes(deflate.gzip_compress(content, _LEVEL))


def archived(entries: Iterable[tuple[str, Entry]]) -> tuple[bytes, list[Row]]:
    """Entries as an archive has them, in their order and without its end, and their rows.

    Every entry belongs to 0:0, has the time 0, and mode 0755 or, for a file not executable, 0644.
    A row has keys path, type, mode, size, sha256, target, origin, and, of a file that was made
    here, made_of, or of one that was stripped, stripped: the sha256 of what it was before.
    """
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        rows = [_add(archive, path, entry) for path, entry in entries]
        # Closing it writes the end.
        size = plain.tell()
    return plain.getvalue()[:size], rows


def _add(archive: tarfile.TarFile, path: str, entry: Entry) -> Row:
    header = tarfile.TarInfo(path)
    header.mode = 0o755
    row: dict[str, str | int | list[str]] = {"path": f"/{path}", "origin": entry.origin}
    if isinstance(entry, File):
        content = entry.read()
        header.mode = 0o755 if entry.executable else 0o644
        header.size = len(content)
        archive.addfile(header, io.BytesIO(content))
        digest = hashlib.sha256(content).hexdigest()
        if entry.made_of:
            row["made_of"] = list(entry.made_of)
        if entry.stripped:
            row["stripped"] = entry.stripped
        return row | {
            "type": "file",
            "mode": f"{header.mode:04o}",
            "size": len(content),
            "sha256": digest,
        }
    if isinstance(entry, Directory):
        header.type = tarfile.DIRTYPE
        archive.addfile(header)
        return row | {"type": "directory", "mode": "0755"}
    header.type = tarfile.SYMTYPE
    header.mode = 0o777
    header.linkname = entry.target
    archive.addfile(header)
    return row | {"type": "symlink", "target": entry.target}


def lines(rows: Iterable[Row]) -> str:
    """Rows as the file of contents has them: JSON lines, the keys sorted."""
    return "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)


def read(packed: Path, contents: Path) -> Part:
    """The part that was written to two files."""
    return Part(
        packed.read_bytes(), [json.loads(line) for line in contents.read_text().splitlines()]
    )
