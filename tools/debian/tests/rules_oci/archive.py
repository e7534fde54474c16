"""Writes a layer archive of one file, packed by hand so that no compressor's version decides."""

import io
import struct
import sys
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path


def tar(name: str, content: bytes) -> bytes:
    """A tar archive of one file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def gzip(content: bytes) -> bytes:
    """One member with one stored block (RFC 1951, section 3.2.4; RFC 1952, section 2.3)."""
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    block = struct.pack("<BHH", 1, len(content), len(content) ^ 0xFFFF) + content
    return header + block + struct.pack("<II", zlib.crc32(content), len(content))


def zstd(content: bytes) -> bytes:
    """One frame with one raw block (RFC 8878, section 3.1.1)."""
    header = b"\x28\xb5\x2f\xfd" + struct.pack("<BI", 0xA0, len(content))
    block = struct.pack("<I", len(content) << 3 | 1)[:3] + content
    return header + block


def main(arguments: Sequence[str]) -> int:
    """OUTPUT COMPRESSION NAME TEXT; COMPRESSION is plain, gzip or zstd."""
    output, compression, name, text = arguments
    content = tar(name, text.encode())
    if compression == "gzip":
        content = gzip(content)
    elif compression == "zstd":
        content = zstd(content)
    Path(output).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
