"""Packs a finished layer otherwise: the same archive, and so the same diff ID, as zstd.

Level 12: the levels above take four times as long and more for the next percent. The library has no
threads here, so that the bytes do not depend on their number.
"""

import argparse
import gzip
import json
from pathlib import Path

from backports import zstd

from rules.layers import part, tarball
from rules.layers.tarball import Descriptor

_LEVEL = 12


def packed(archive: bytes) -> bytes:
    """An archive as zstd (RFC 8878), with its size and a checksum."""
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: _LEVEL,
        zstd.CompressionParameter.content_size_flag: 1,
        zstd.CompressionParameter.checksum_flag: 1,
    }
    return zstd.compress(archive, options=options)


def repack(layer: Path, known: Path, output: Path, descriptor: Path) -> None:
    """Writes a layer beside its place and renames it, then its descriptor.

    Args:
        layer: the layer, a tar.gz.
        known: its descriptor, as `tarball.Descriptor` has it.
        output: the tar.zst to write.
        descriptor: the JSON to write.

    Raises:
        ValueError: the layer is not the one that its descriptor describes.
    """
    archive = gzip.decompress(layer.read_bytes())
    expected = json.loads(known.read_bytes())["diffid"]
    found = tarball.digest(archive)
    if found != expected:
        raise ValueError(f"{layer.name}: expected diff ID {expected}, got {found}")
    content = packed(archive)
    part.put(content, output)
    made = Descriptor(tarball.digest(content), found, len(content), "zstd")
    descriptor.write_text(json.dumps(made._asdict()) + "\n")


def main() -> None:
    """Writes what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("layer", "known", "output", "descriptor"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    repack(options.layer, options.known, options.output, options.descriptor)


if __name__ == "__main__":
    main()
