"""Writes a layer archive, and beside it what a manifest says of the layer."""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.debian.tests.rules_oci.archive import gzip, tar


def main(arguments: Sequence[str]) -> int:
    """ARCHIVE DESCRIPTOR; returns the exit code."""
    archive, descriptor = (Path(argument) for argument in arguments)
    unpacked = tar("etc/described", b"described")
    packed = gzip(unpacked)
    archive.write_bytes(packed)
    known = {
        "compression": "gzip",
        "diffid": f"sha256:{hashlib.sha256(unpacked).hexdigest()}",
        "digest": f"sha256:{hashlib.sha256(packed).hexdigest()}",
        "size": len(packed),
    }
    descriptor.write_text(json.dumps(known))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
