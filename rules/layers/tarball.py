"""Writes a tree as a tar.gz whose bytes depend on nothing but the tree and how it is parted."""

import hashlib
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rules.layers.part import Part, Row, archived, compressed, pack, put
from rules.layers.tree import Tree


class Descriptor(NamedTuple):
    """A written layer (OCI image-spec, descriptor.md): digests as "sha256:...", size in bytes."""

    digest: str
    diffid: str
    size: int
    compression: str = "gzip"


def write(tree: Tree, file: Path, parts: Sequence[Part] = ()) -> tuple[Descriptor, list[Row]]:
    """Writes a layer beside its place and renames it; returns its descriptor and its contents.

    First comes what is of no part, with the folders of all, then part after part, and then the
    archive's end. The tree is given what the parts have. A part stays as it is packed, unless
    something before it has one of its files too, and the same; then it is packed without it.
    Raises `LayerError` where two disagree on what a path is. The contents are in the archive's
    order; `part.archived` says what is in a row.
    """
    files = [dict(part.files()) for part in parts]
    for each in files:
        for path, entry in each.items():
            tree.add(path, entry)
    rest = dict(tree.sorted())
    kept: list[Part] = []
    for part, each in zip(parts, files, strict=True):
        own = {path: entry for path, entry in each.items() if rest[path] is entry}
        if own:
            kept.append(part if len(own) == len(each) else pack(own.items()))
    placed = {row["path"] for part in kept for row in part.rows}
    plain, rows = archived(
        (path, entry) for path, entry in rest.items() if f"/{path}" not in placed
    )
    streams = [plain, *(part.unpacked() for part in kept)]
    end = _end(sum(map(len, streams)))
    if kept:
        packed = b"".join([compressed(plain), *(part.packed for part in kept), compressed(end)])
    else:
        packed = compressed(plain + end)
    put(packed, file)
    contents = [*rows, *(row for part in kept for row in part.rows)]
    return Descriptor(digest(packed), digest(*streams, end), len(packed)), contents


def digest(*content: bytes) -> str:
    """Of what follows one another, as a descriptor has it (OCI image-spec, descriptor.md)."""
    found = hashlib.sha256()
    for each in content:
        found.update(each)
    return f"sha256:{found.hexdigest()}"


def _end(size: int) -> bytes:
    """What ends an archive of so many bytes: two blocks, and what fills the last record."""
    blocks = 2 * tarfile.BLOCKSIZE
    return bytes(blocks + -(size + blocks) % tarfile.RECORDSIZE)
