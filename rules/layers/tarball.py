"""Writes a tree as a tar.gz whose bytes depend on nothing but the tree."""

import hashlib
import io
import os
import struct
import tarfile
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from rules.layers.tree import Directory, Entry, File, Tree

# Independent blocks let every core compress; each starts with its predecessor as a dictionary, of
# which zlib takes the last 32 KiB, so that the size hardly suffers.
_BLOCK = 1 << 19
_LEVEL = 9
# RFC 1952: deflate, no flags, no time, slowest level, unknown system.
_HEADER = bytes.fromhex("1f8b08000000000002ff")

# What the contents say of one entry.
Row = dict[str, str | int | list[str]]


@dataclass(frozen=True)
class Descriptor:
    """A written layer (OCI image-spec, descriptor.md): digests as "sha256:...", size in bytes."""

    digest: str
    diffid: str
    size: int
    compression: str = "gzip"


class _Gzip:
    """A write-only stream that compresses and hashes on the way."""

    def __init__(self, out: BinaryIO, pool: ThreadPoolExecutor) -> None:
        self._out = out
        self._pool = pool
        self._buffer = bytearray()
        self._previous = b""
        self._pending: deque[Future[bytes]] = deque()
        self._checksum = 0
        self._plain_size = 0
        self._plain = hashlib.sha256()
        self._packed = hashlib.sha256()
        self._size = 0
        self._emit(_HEADER)

    def write(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _BLOCK:
            block = bytes(self._buffer[:_BLOCK])
            del self._buffer[:_BLOCK]
            self._submit(block, last=False)

    def close(self) -> Descriptor:
        self._submit(bytes(self._buffer), last=True)
        while self._pending:
            self._emit(self._pending.popleft().result())
        self._emit(struct.pack("<II", self._checksum, self._plain_size & 0xFFFFFFFF))
        return Descriptor(
            f"sha256:{self._packed.hexdigest()}", f"sha256:{self._plain.hexdigest()}", self._size
        )

    def _submit(self, block: bytes, last: bool) -> None:
        self._pending.append(self._pool.submit(_deflate, block, self._previous, last))
        self._checksum = zlib.crc32(block, self._checksum)
        self._plain.update(block)
        self._plain_size += len(block)
        self._previous = block
        # Bounds what is held in memory.
        while len(self._pending) > 16:
            self._emit(self._pending.popleft().result())

    def _emit(self, data: bytes) -> None:
        self._packed.update(data)
        self._size += len(data)
        self._out.write(data)


def _deflate(block: bytes, previous: bytes, last: bool) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, previous)
    return packer.compress(block) + packer.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)


def write(tree: Tree, file: Path) -> tuple[Descriptor, list[Row]]:
    """Writes a layer beside its place and renames it; returns its descriptor and its contents.

    Every entry belongs to 0:0, has the time 0, and mode 0755 or, for a file not executable, 0644.
    The contents are a dict a path with keys path, type, mode, size, sha256, target, origin, and, of
    a file that was made here, made_of, or of one that was stripped, stripped: the sha256 of what it
    was before.
    """
    beside = Path(f"{file}.partial")
    contents: list[Row] = []
    with (
        beside.open("wb") as out,
        ThreadPoolExecutor(os.process_cpu_count() or 1) as pool,
    ):
        stream = _Gzip(out, pool)
        # The stream mode of tarfile only ever writes, but is typed for whole files.
        output = cast("IO[bytes]", stream)
        with tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for path, entry in tree.sorted():
                contents.append(_add(archive, path, entry))
        descriptor = stream.close()
    beside.rename(file)
    return descriptor, contents


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
