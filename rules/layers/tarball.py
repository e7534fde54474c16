"""Writes a tree as a tar.gz whose bytes depend on nothing but the tree."""

import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

import deflate

from rules.layers.tree import Directory, Entry, File, Tree

# libdeflate's: the levels above take three times as long for 3 % less.
_LEVEL = 9

# What the contents say of one entry.
Row = dict[str, str | int | list[str]]


@dataclass(frozen=True)
class Descriptor:
    """A written layer (OCI image-spec, descriptor.md): digests as "sha256:...", size in bytes."""

    digest: str
    diffid: str
    size: int
    compression: str = "gzip"


def write(tree: Tree, file: Path) -> tuple[Descriptor, list[Row]]:
    """Writes a layer beside its place and renames it; returns its descriptor and its contents.

    Every entry belongs to 0:0, has the time 0, and mode 0755 or, for a file not executable, 0644.
    The contents are a dict a path with keys path, type, mode, size, sha256, target, origin, and, of
    a file that was made here, made_of, or of one that was stripped, stripped: the sha256 of what it
    was before.
    """
    plain = io.BytesIO()
    contents: list[Row] = []
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, entry in tree.sorted():
            contents.append(_add(archive, path, entry))
    archived = plain.getvalue()
    # RFC 1952: no time and no name, an unknown system.
    packed = deflate.gzip_compress(archived, _LEVEL)
    put(packed, file)
    return Descriptor(digest(packed), digest(archived), len(packed)), contents


def put(content: bytes | bytearray, file: Path) -> None:
    """Writes a file beside its place and renames it, so that no half of it is ever there."""
    beside = Path(f"{file}.partial")
    beside.write_bytes(content)
    beside.rename(file)


def digest(content: bytes | bytearray) -> str:
    """As a descriptor has it (OCI image-spec, descriptor.md)."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _add(archive: tarfile.TarFile, path: str, entry: Entry) -> Row:
    header = tarfile.TarInfo(path)
    header.mode = 0o755
    row: Row = {"path": f"/{path}", "origin": entry.origin}
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
