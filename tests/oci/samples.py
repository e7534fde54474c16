"""Image layouts to test with, written to a folder."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.oci.filesystem import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry

_TYPES = {
    FILE: tarfile.REGTYPE,
    DIRECTORY: tarfile.DIRTYPE,
    SYMLINK: tarfile.SYMTYPE,
    HARDLINK: tarfile.LNKTYPE,
    "fifo": tarfile.FIFOTYPE,
}


def file(path: str, content: bytes = b"", mode: int = 0o644, **more: Any) -> Entry:
    return Entry(path, FILE, mode, content=content, **more)


def program(path: str, content: bytes = b"") -> Entry:
    return file(path, content, 0o755)


def folder(path: str, mode: int = 0o755) -> Entry:
    return Entry(path, DIRECTORY, mode)


def link(path: str, target: str) -> Entry:
    return Entry(path, SYMLINK, 0o777, target=target)


def write(
    where: Path,
    layers: Sequence[Sequence[Entry]],
    config: Mapping[str, Any] | None = None,
    *,
    architecture: str = "amd64",
    compress: bool = True,
) -> Path:
    """Writes a layout of one image; its layers are called "0", "1", ..."""
    where.mkdir(exist_ok=True)
    archives = [_tar(entries) for entries in layers]
    blobs = [gzip.compress(archive, mtime=0) if compress else archive for archive in archives]
    document = {
        "architecture": architecture,
        "os": "linux",
        "config": dict(config or {}),
        "history": [{"created_by": f"bazel build //x:{number}"} for number in range(len(layers))],
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(archive).hexdigest()}" for archive in archives],
        },
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _blob(where, json.dumps(document).encode(), "config.v1+json"),
        "layers": [_blob(where, blob, "layer.v1.tar+gzip") for blob in blobs],
    }
    add_to_index(where, _blob(where, json.dumps(manifest).encode(), "manifest.v1+json"))
    (where / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return where


def add_to_index(where: Path, descriptor: Mapping[str, Any]) -> None:
    path = where / "index.json"
    index = json.loads(path.read_text()) if path.exists() else {"manifests": []}
    index["manifests"].append(descriptor)
    path.write_text(json.dumps(index))


def nest_index(where: Path) -> None:
    """Puts the index into a blob, as `oci_image_index` does."""
    content = (where / "index.json").read_bytes()
    (where / "index.json").unlink()
    add_to_index(where, _blob(where, content, "index.v1+json"))


def _blob(where: Path, content: bytes, kind: str) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    path = where / "blobs" / "sha256" / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {
        "mediaType": f"application/vnd.oci.image.{kind}",
        "digest": f"sha256:{digest}",
        "size": len(content),
    }


def _tar(entries: Sequence[Entry]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            member = tarfile.TarInfo(entry.path.lstrip("/"))
            member.type = _TYPES[entry.kind]
            member.mode = entry.mode
            member.uid, member.gid = entry.uid, entry.gid
            member.size = entry.size
            member.mtime = entry.modified
            member.linkname = entry.target
            member.pax_headers = {
                f"SCHILY.xattr.{name}": value for name, value in entry.attributes.items()
            }
            archive.addfile(member, io.BytesIO(entry.content))
    return stream.getvalue()
