"""Writes a layout as other tools write them: Docker's media types, compact JSON, odd entries."""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.debian.tests.rules_oci import archive

_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def main(arguments: Sequence[str]) -> int:
    """OUTPUT, the folder to write."""
    output = Path(arguments[0])
    blobs = output / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(content: bytes) -> dict[str, Any]:
        name = hashlib.sha256(content).hexdigest()
        (blobs / name).write_bytes(content)
        return {"size": len(content), "digest": f"sha256:{name}"}

    content = archive.tar("etc/base", b"of another tool")
    layer = put(archive.gzip(content))
    config = {
        "architecture": "amd64",
        "config": {
            "Cmd": ["sh"],
            "Labels": None,
            "Image": "",
            "Env": ["PATH=/bin", "PATH=/sbin", "TZ=UTC", "BARE"],
            "OnBuild": None,
        },
        "container_config": {"Cmd": None, "Memory": 2**53 + 1},
        "created": "2026-01-01T00:00:00.123456789Z",
        "docker_version": "28.0",
        "os": "linux",
        "os.version": "1",
        "os.features": ["feature"],
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(content).hexdigest()}"],
        },
    }
    manifest = {
        "mediaType": _IMAGE,
        "schemaVersion": 2,
        "layers": [{"mediaType": _LAYER, **layer}],
        "config": {
            "data": "e30=",
            "mediaType": _CONFIG,
            **put(json.dumps(config, separators=(",", ":")).encode()),
        },
    }
    descriptor = {
        "platform": {"os": "linux", "architecture": "amd64"},
        "mediaType": _IMAGE,
        **put(json.dumps(manifest).encode()),
        "annotations": {"example.descriptor": "goes"},
    }
    index = {
        "annotations": {"example.index": "stays"},
        "manifests": [descriptor],
        "schemaVersion": 2,
    }
    (output / "index.json").write_text(json.dumps(index))
    (output / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}\n')
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
