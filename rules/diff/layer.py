"""A layer unpacked, and what its tar archive holds, header by header (POSIX.1-2024, pax)."""

import contextlib
import hashlib
import shutil
import struct
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, BinaryIO

from rules.diff.error import UnreadableError
from rules.diff.image import Layer

BLOCK = 512
_CHUNK = 1 << 20
_TYPES = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "symbolic link",
    tarfile.LNKTYPE: "hard link",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "fifo",
}
_FLAG_NAMES = ((1, "FTEXT"), (2, "FHCRC"), (4, "FEXTRA"), (8, "FNAME"), (16, "FCOMMENT"))
# RFC 1952, section 2.3.1.
_SYSTEMS = {0: "FAT", 3: "Unix", 7: "Macintosh", 10: "TOPS-20", 11: "NTFS", 255: "unknown"}


@dataclass(frozen=True)
class Entry:
    """One entry; `fields` are what its header says, by name, in words. Offsets are of the tar."""

    path: str
    fields: Mapping[str, str]
    mode: int
    header: int
    data: int
    size: int

    @property
    def is_file(self) -> bool:
        """Whether the entry has content."""
        return self.fields["type"] == "file"


@dataclass(frozen=True)
class Unpacked:
    """The archive of one layer, without compression, in a file that is gone with the object."""

    name: str
    compression: str
    header: Mapping[str, str]
    diff_id: str
    tar: BinaryIO
    size: int

    @cached_property
    def entries(self) -> Sequence[Entry] | None:
        """What it holds, in order; None where the blob is no tar archive."""
        self.tar.seek(0)
        found = []
        try:
            with tarfile.open(fileobj=self.tar, mode="r:", errorlevel=2) as archive:
                for member in archive:
                    found.append(self._entry(member))  # noqa: PERF401 - keeps what came before an error
        # A size may be one that no file has.
        except (tarfile.TarError, ValueError, OverflowError):
            return found or None
        return found

    def _entry(self, member: tarfile.TarInfo) -> Entry:
        magic = self.read(member.offset_data - BLOCK + 257, 8)
        extended = [
            self.read(at + 156, 1).decode("latin-1")
            for at in range(member.offset, member.offset_data - BLOCK, BLOCK)
            if self.read(at + 257, 5) == b"ustar"
        ]
        fields = {
            "type": _TYPES.get(member.type, f"tar type {member.type!r}"),
            "mode": f"{member.mode:04o}",
            "owner": f"{member.uid}:{member.gid}",
            "owner's name": f"{member.uname}:{member.gname}",
            "time": _number(member.mtime),
            "size": str(member.size) if member.isreg() else "",
            "link": member.linkname,
            "device": f"{member.devmajor}:{member.devminor}" if member.isdev() else "",
            "header format": _format(magic, extended),
        }
        for key, value in sorted(member.pax_headers.items()):
            if key.startswith("SCHILY.xattr."):
                fields[f"extended attribute {key.removeprefix('SCHILY.xattr.')}"] = repr(value)
            elif key not in {"path", "linkpath", "size", "uid", "gid", "uname", "gname", "mtime"}:
                fields[f"pax header {key}"] = value
        path = "/" + member.name.removeprefix("./").strip("/")
        size = member.size if member.isreg() else 0
        return Entry(path, fields, member.mode, member.offset, member.offset_data, size)

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the archive."""
        self.tar.seek(offset)
        return self.tar.read(size)

    def content(self, entry: Entry) -> bytes:
        """The bytes of a file; of a torn archive's last one, those that are there."""
        return self.read(entry.data, max(0, min(entry.size, self.size - entry.data)))

    @cached_property
    def endings(self) -> Sequence[str]:
        """In words, what makes the archive as long as it is; several may be true.

        POSIX asks for two blocks of zeros; most programs fill a record of 20 blocks.
        """
        if not self.entries:
            return ["nothing but zeros"]
        last = self.entries[-1]
        zeros = self.size - (last.data + -(-last.size // BLOCK) * BLOCK)
        ways = []
        if zeros == 2 * BLOCK:
            ways.append("two blocks of zeros")
        if 2 * BLOCK <= zeros < 22 * BLOCK and self.size % (20 * BLOCK) == 0:
            ways.append(f"zeros to a multiple of {20 * BLOCK} bytes")
        return ways or [f"{zeros} bytes of zeros"]


def same_content(left: Unpacked, one: Entry, right: Unpacked, other: Entry) -> bool:
    """Whether two files hold the same bytes; holds a part of them in memory at a time."""
    if one.size != other.size:
        return False
    return all(
        left.read(one.data + at, min(_CHUNK, one.size - at))
        == right.read(other.data + at, min(_CHUNK, one.size - at))
        for at in range(0, one.size, _CHUNK)
    )


def unpack(layer: Layer, scratch: str) -> Unpacked:
    """Unpacks a layer below `scratch`; raises `UnreadableError`.

    The diff ID that the config states must be the archive's.
    """
    name = f"{layer.store.name}: {layer}"
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(layer.file.open("rb"))
        magic = source.read(4)
        source.seek(0)
        target = stack.enter_context(tempfile.TemporaryFile(dir=scratch))
        header: Mapping[str, str] = {}
        if magic.startswith(b"\x1f\x8b"):
            compression = "gzip"
            header = gzip_header(source.read(4096))
            source.seek(0)
            _gunzip(name, source, target)
        elif magic == b"\x28\xb5\x2f\xfd":
            compression = "zstd"
            _unzstd(name, layer.file, target)
        else:
            compression = "none"
            shutil.copyfileobj(source, target, _CHUNK)
        size = target.tell()
        target.seek(0)
        diff_id = f"sha256:{hashlib.file_digest(target, 'sha256').hexdigest()}"
        # An image of artifacts has no diff IDs.
        if layer.diff_id and layer.diff_id != diff_id:
            raise UnreadableError(
                f"{name}: the config says diff ID {layer.diff_id}, its content has {diff_id}"
            )
        stack.pop_all()
        source.close()
    return Unpacked(name, compression, header, diff_id, target, size)


def gzip_header(start: bytes) -> Mapping[str, str]:
    """The fields of a gzip header (RFC 1952), in words."""
    if len(start) < 10:
        return {}
    method, flags, time, extra, system = struct.unpack_from("<BBIBB", start, 2)
    fields = {
        "method": str(method),
        "flags": ", ".join(name for bit, name in _FLAG_NAMES if flags & bit) or "none",
        "time": str(time),
        "extra flags": {0: "none", 2: "slowest", 4: "fastest"}.get(extra, str(extra)),
        "operating system": _SYSTEMS.get(system, str(system)),
    }
    at = 10
    if flags & 4 and len(start) >= at + 2:
        length = struct.unpack_from("<H", start, at)[0]
        fields["extra field"] = start[at + 2 : at + 2 + length].hex()
        at += 2 + length
    for bit, name in ((8, "name"), (16, "comment")):
        if flags & bit:
            text, _, _ = start[at:].partition(b"\0")
            fields[name] = text.decode("latin-1")
            at += len(text) + 1
    return fields


def _gunzip(name: str, source: IO[bytes], target: IO[bytes]) -> None:
    """Writes every member of a gzip file (RFC 1952, section 2.2) unpacked."""
    unpacker = zlib.decompressobj(31)
    try:
        while chunk := source.read(_CHUNK):
            while chunk:
                target.write(unpacker.decompress(chunk))
                chunk = unpacker.unused_data
                if unpacker.eof:
                    if not chunk.strip(b"\0"):
                        chunk = b""
                    unpacker = zlib.decompressobj(31) if chunk else unpacker
    except zlib.error as error:
        raise UnreadableError(f"{name}: its gzip stream is broken: {error}") from error
    if not unpacker.eof:
        raise UnreadableError(f"{name}: its gzip stream ends too early")


def _unzstd(name: str, file: Path, target: IO[bytes]) -> None:
    program = shutil.which("zstd")
    if program is None:
        raise UnreadableError(
            f"{name}: zstd, which unpacks it, is missing. On Debian: apt-get install zstd"
        )
    with file.open("rb") as source:
        done = subprocess.run(
            [program, "-dcq"], stdin=source, stdout=target, stderr=subprocess.PIPE, check=False
        )
    if done.returncode:
        raise UnreadableError(f"{name}: {done.stderr.decode(errors='replace').strip()}")
    target.seek(0, 2)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.9f}".rstrip("0")


def _format(magic: bytes, extended: Sequence[str]) -> str:
    if "x" in extended or "g" in extended:
        return "pax"
    if magic == b"ustar  \0" or {"L", "K"} & set(extended):
        return "GNU"
    return "ustar" if magic.startswith(b"ustar\0") else "v7"
