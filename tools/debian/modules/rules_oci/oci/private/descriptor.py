"""Finds out what a manifest says of a layer: digest, diff ID, size and compression."""

import hashlib
import json
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

_CHUNK = 1 << 16
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


class ArchiveError(Exception):
    """An archive that cannot be unpacked."""


def describe(archive: Path, zstd: str) -> dict[str, str | int]:
    """Digest, diff ID, size in bytes and compression ("", "gzip" or "zstd") of an archive.

    The first bytes tell the compression, whatever the file is called. `zstd` is the program that
    unpacks Zstandard frames (RFC 8878). Raises ArchiveError.
    """
    packed, unpacked = hashlib.sha256(), hashlib.sha256()
    with archive.open("rb") as stream:
        start = stream.read(len(_ZSTD))
        stream.seek(0)
        gunzip = _Gunzip() if start.startswith(_GZIP) else None
        while chunk := stream.read(_CHUNK):
            packed.update(chunk)
            if gunzip:
                unpacked.update(gunzip.feed(chunk))
    digest = diff_id = packed.hexdigest()
    compression = ""
    if gunzip:
        gunzip.finish()
        compression, diff_id = "gzip", unpacked.hexdigest()
    elif start == _ZSTD:
        compression, diff_id = "zstd", _unzstd(archive, zstd)
    return {
        "digest": f"sha256:{digest}",
        "diffid": f"sha256:{diff_id}",
        "size": archive.stat().st_size,
        "compression": compression,
    }


class _Gunzip:
    """Unpacks gzip members that follow one another (RFC 1952, section 2.2)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    def feed(self, chunk: bytes) -> bytes:
        unpacked = []
        try:
            while chunk:
                if self._member.eof:
                    self._member = zlib.decompressobj(wbits=31)
                unpacked.append(self._member.decompress(chunk))
                chunk = self._member.unused_data
        except zlib.error as error:
            raise ArchiveError(f"not a gzip file to the end: {error}") from None
        return b"".join(unpacked)

    def finish(self) -> None:
        if not self._member.eof:
            raise ArchiveError("the gzip file ends too early")


def _unzstd(archive: Path, zstd: str) -> str:
    unpacked = hashlib.sha256()
    with (
        archive.open("rb") as packed,
        subprocess.Popen([zstd, "-dcq"], stdin=packed, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None
        while chunk := process.stdout.read(_CHUNK):
            unpacked.update(chunk)
    if process.returncode:
        raise ArchiveError("zstd could not unpack it")
    return unpacked.hexdigest()


def main(arguments: Sequence[str]) -> int:
    """Writes the descriptor of ARCHIVE to OUTPUT as JSON; returns the exit code."""
    archive, output, label, zstd = arguments
    try:
        known = describe(Path(archive), zstd)
    except ArchiveError as error:
        print(f"ERROR: {label}: {archive}: {error}", file=sys.stderr)
        return 1
    Path(output).write_text(json.dumps(known))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
