"""Images made for tests: layers from entries, layouts from layers."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass
class Item:
    """One entry of a layer; content makes it a file, a link a symbolic link, neither a folder."""

    path: str
    content: bytes | str | None = None
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    uname: str = ""
    mtime: float = 0
    link: str = ""
    pax: Mapping[str, str] = field(default_factory=dict)


def tar(items: Sequence[Item], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for item in items:
            header = tarfile.TarInfo(item.path)
            header.mode, header.uid, header.gid = item.mode, item.uid, item.gid
            header.uname, header.mtime = item.uname, item.mtime
            header.pax_headers = dict(item.pax)
            content = item.content.encode() if isinstance(item.content, str) else item.content
            if content is not None:
                header.size = len(content)
            elif item.link:
                header.type, header.linkname = tarfile.SYMTYPE, item.link
            else:
                header.type = tarfile.DIRTYPE
            archive.addfile(header, io.BytesIO(content or b""))
    return out.getvalue()


def packed(plain: bytes, time: int = 0, level: int = 9, name: str = "") -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(name, "wb", level, out, mtime=time) as stream:
        stream.write(plain)
    return out.getvalue()


@dataclass
class Layout:
    """A layout that is being written."""

    folder: Path

    def blob(self, content: bytes, **more: Any) -> dict[str, Any]:
        encoded = hashlib.sha256(content).hexdigest()
        path = self.folder / "blobs/sha256" / encoded
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return {"digest": f"sha256:{encoded}", "size": len(content), **more}

    def document(self, value: Any, **more: Any) -> dict[str, Any]:
        return self.blob(json.dumps(value, indent=2).encode(), **more)

    def image(
        self,
        layers: Sequence[bytes],
        *,
        architecture: str = "amd64",
        names: Sequence[str] = (),
        config: Mapping[str, Any] | None = None,
        manifest: Mapping[str, Any] | None = None,
        compress: Any = packed,
    ) -> dict[str, Any]:
        document = {
            "created": "1970-01-01T00:00:00Z",
            "os": "linux",
            "architecture": architecture,
            "config": {"Entrypoint": ["/serve"]},
            "history": [{"created_by": f"bazel build //image:{name}"} for name in names],
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in layers],
            },
            **(config or {}),
        }
        described = [self.blob(compress(each), mediaType=LAYER) for each in layers]
        return self.document(
            {
                "schemaVersion": 2,
                "mediaType": IMAGE,
                "config": self.document(document),
                "layers": described,
                **(manifest or {}),
            },
            mediaType=IMAGE,
        )

    def index(self, images: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
        value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": images, **more}
        return self.document(value, mediaType=INDEX)

    def finish(self, *roots: dict[str, Any]) -> Path:
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (self.folder / "index.json").write_text(
            json.dumps({"schemaVersion": 2, "manifests": roots})
        )
        return self.folder


def image(folder: Path, *layers: bytes | Sequence[Item], **more: Any) -> Path:
    """A layout of one image; a layer is a list of items, or an archive."""
    layout = Layout(folder)
    archives = [each if isinstance(each, bytes) else tar(each) for each in layers]
    return layout.finish(layout.image(archives, **more))
