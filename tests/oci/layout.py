"""OCI image layouts, read without unpacking them (OCI image-spec 1.1, image-layout.md)."""

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backports import zstd

from tests.oci.filesystem import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry, Filesystem

_KINDS = {
    tarfile.REGTYPE: FILE,
    tarfile.AREGTYPE: FILE,
    tarfile.CONTTYPE: FILE,
    tarfile.DIRTYPE: DIRECTORY,
    tarfile.SYMTYPE: SYMLINK,
    tarfile.LNKTYPE: HARDLINK,
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "fifo",
}
_XATTR = "SCHILY.xattr."


class LayoutError(Exception):
    """The folder is not the image layout it should be; the text says what was found instead."""


@dataclass(frozen=True)
class Configuration:
    """What the image says about running it (image-spec, config.md)."""

    os: str
    architecture: str
    user: str
    entrypoint: Sequence[str]
    command: Sequence[str]
    environment: Mapping[str, str]
    working_directory: str
    exposed_ports: Sequence[str]
    volumes: Sequence[str]
    labels: Mapping[str, str]
    stop_signal: str


@dataclass(frozen=True)
class Layer:
    """One layer; `name` is the last part of the label in its history, `size` that of the blob."""

    name: str
    digest: str
    size: int
    entries: Sequence[Entry] = field(repr=False)

    @property
    def unpacked_size(self) -> int:
        """The sum of its files' sizes, in bytes."""
        return sum(entry.size for entry in self.entries)


@dataclass(frozen=True)
class Image:
    """One image of a layout; `digest` is its manifest's."""

    digest: str
    configuration: Configuration
    layers: Sequence[Layer]

    @property
    def files(self) -> Filesystem:
        """What a container sees: the layers applied in order."""
        return Filesystem.of_layers([layer.entries for layer in self.layers])


def read(folder: Path, platform: str | None = None) -> Image:
    """Reads the image for a platform ("linux/arm64"); the only one there is by default.

    Raises `LayoutError` where the layout is not one, a blob is not what its digest says, or the
    platform is not there.
    """
    try:
        version = json.loads((folder / "oci-layout").read_text())["imageLayoutVersion"]
    except (OSError, ValueError, KeyError) as error:
        raise LayoutError(f"{folder} is no OCI image layout: oci-layout: {error!r}") from error
    if version != "1.0.0":
        raise LayoutError(f"{folder}/oci-layout: expected imageLayoutVersion 1.0.0, got {version}")
    index = json.loads((folder / "index.json").read_text())
    known = {digest: _platform(folder, digest) for digest in _manifests(folder, index)}
    images = [digest for digest, its in known.items() if platform in {None, its}]
    if len(images) != 1:
        there = ", ".join(f"{digest} for {its}" for digest, its in known.items())
        raise LayoutError(
            f"{folder}: expected one image{f' for {platform}' if platform else ''}, "
            f"got {len(images)}; there are: {there or 'none'}"
        )
    return _image(folder, images[0])


def _manifests(folder: Path, index: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for descriptor in index["manifests"]:
        if "index" in descriptor["mediaType"] or "manifest.list" in descriptor["mediaType"]:
            found += _manifests(folder, json.loads(_blob(folder, descriptor)))
        else:
            _blob(folder, descriptor)
            found.append(descriptor["digest"])
    return found


def _platform(folder: Path, digest: str) -> str:
    config = _json(folder, _json(folder, {"digest": digest})["config"])
    return f"{config['os']}/{config['architecture']}"


def _json(folder: Path, descriptor: Mapping[str, Any]) -> Any:
    return json.loads(_blob(folder, descriptor))


def _blob(folder: Path, descriptor: Mapping[str, Any]) -> bytes:
    algorithm, _, encoded = descriptor["digest"].partition(":")
    if algorithm != "sha256":
        raise LayoutError(f"{folder}: expected sha256 digests, got {descriptor['digest']}")
    path = folder / "blobs" / algorithm / encoded
    try:
        content: bytes = path.read_bytes()
    except OSError as error:
        raise LayoutError(f"{folder}: blob {descriptor['digest']} is missing: {error}") from error
    if (actual := hashlib.sha256(content).hexdigest()) != encoded:
        raise LayoutError(f"{folder}: blob {descriptor['digest']} has digest sha256:{actual}")
    if len(content) != descriptor.get("size", len(content)):
        raise LayoutError(
            f"{folder}: blob {descriptor['digest']}: expected {descriptor['size']} bytes, "
            f"got {len(content)}"
        )
    return content


def _image(folder: Path, digest: str) -> Image:
    manifest = _json(folder, {"digest": digest})
    config = _json(folder, manifest["config"])
    names = [
        entry.get("created_by", "").rpartition(":")[2].rpartition("/")[2]
        for entry in config.get("history", [])
        if not entry.get("empty_layer")
    ]
    diff_ids = config["rootfs"]["diff_ids"]
    descriptors = manifest["layers"]
    if len(diff_ids) != len(descriptors):
        raise LayoutError(
            f"{folder}: the manifest has {len(descriptors)} layers, the config {len(diff_ids)}"
        )
    layers = []
    for number, (descriptor, diff_id) in enumerate(zip(descriptors, diff_ids, strict=True)):
        archive = _unpacked(folder, descriptor)
        if (actual := f"sha256:{hashlib.sha256(archive).hexdigest()}") != diff_id:
            raise LayoutError(
                f"{folder}: layer {descriptor['digest']}: expected diff ID {diff_id}, got {actual}"
            )
        name = (names[number] if number < len(names) else "") or str(number)
        layers.append(Layer(name, descriptor["digest"], descriptor["size"], _entries(archive)))
    return Image(digest, _configuration(config), layers)


def _unpacked(folder: Path, descriptor: Mapping[str, Any]) -> bytes:
    content = _blob(folder, descriptor)
    if content.startswith(b"\x1f\x8b"):
        try:
            return gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise LayoutError(f"{folder}: layer {descriptor['digest']}: {error}") from error
    if content.startswith(b"\x28\xb5\x2f\xfd"):
        try:
            return zstd.decompress(content)
        except zstd.ZstdError as error:
            raise LayoutError(f"{folder}: layer {descriptor['digest']}: {error}") from error
    return content


def _entries(archive: bytes) -> list[Entry]:
    entries = []
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        for member in members:
            content = members.extractfile(member) if member.isreg() else None
            entries.append(
                Entry(
                    path="/" + member.name.removeprefix("./").strip("/"),
                    kind=_KINDS.get(member.type, f"tar type {member.type!r}"),
                    mode=member.mode,
                    uid=member.uid,
                    gid=member.gid,
                    content=content.read() if content else b"",
                    target=member.linkname,
                    modified=int(member.mtime),
                    attributes={
                        name.removeprefix(_XATTR): value
                        for name, value in member.pax_headers.items()
                        if name.startswith(_XATTR)
                    },
                )
            )
    return entries


def _configuration(config: Mapping[str, Any]) -> Configuration:
    run = config.get("config", {})
    return Configuration(
        os=config["os"],
        architecture=config["architecture"],
        user=run.get("User", ""),
        entrypoint=run.get("Entrypoint") or [],
        command=run.get("Cmd") or [],
        environment=dict(entry.partition("=")[::2] for entry in run.get("Env") or []),
        working_directory=run.get("WorkingDir") or "/",
        exposed_ports=sorted(run.get("ExposedPorts") or {}),
        volumes=sorted(run.get("Volumes") or {}),
        labels=run.get("Labels") or {},
        stop_signal=run.get("StopSignal") or "SIGTERM",
    )
