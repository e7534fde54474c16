"""Images as their documents describe them: index, manifest, config, layers (OCI image-spec 1.1)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rules.diff.error import UnreadableError
from rules.diff.store import Store, verified

# Deeper than any index of indexes that is one on purpose.
_DEPTH = 4
# Characters of a value that is not what it should be.
_SHOWN = 60


@dataclass(frozen=True)
class Document:
    """A JSON document: its digest, its bytes, and what they say."""

    digest: str
    content: bytes
    value: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer; `number` counts from 1, `name` is the last part of what created it.

    `diff_id` is the config's word for it, empty where the config has none.
    """

    number: int
    name: str
    digest: str
    diff_id: str
    media_type: str
    store: Store
    descriptor: Mapping[str, Any]

    @cached_property
    def file(self) -> Path:
        """The layer's blob, checked; raises `UnreadableError`."""
        return verified(self.store, self.descriptor)

    def __str__(self) -> str:
        return f"layer {self.number} ({self.name})" if self.name else f"layer {self.number}"


@dataclass(frozen=True)
class Image:
    """One image. `synthetic` says that the manifest is ours, since the archive has none."""

    manifest: Document
    config: Document
    layers: Sequence[Layer]
    platform: str
    synthetic: bool


@dataclass(frozen=True)
class Index:
    """Images by platform, in the order of the index."""

    document: Document
    images: "Mapping[str, Image | Index]"
    descriptors: Mapping[str, Mapping[str, Any]]


def read(store: Store) -> "Image | Index":
    """Reads everything of an image but its layers, whose digests are checked.

    Raises `UnreadableError`.
    """
    return _node(store, store.root(), 0)


def _node(store: Store, descriptor: Mapping[str, Any], depth: int) -> "Image | Index":
    document = _document(store, descriptor)
    if "manifests" in document.value:
        if depth == _DEPTH:
            raise UnreadableError(f"{store.name}: indexes are nested more than {_DEPTH} deep")
        return _index(store, document, depth)
    if "config" in document.value and "layers" in document.value:
        return _image(store, document, synthetic=descriptor.get("mediaType") == "docker-archive")
    raise UnreadableError(
        f"{store.name}: {document.digest} is neither an image manifest nor an index: "
        f"it has {', '.join(document.value) or 'no keys'}"
    )


def _document(store: Store, descriptor: Mapping[str, Any]) -> Document:
    content = verified(store, descriptor).read_bytes()
    try:
        value = json.loads(content)
    except ValueError as error:
        raise UnreadableError(
            f"{store.name}: {descriptor['digest']}: expected JSON: {error}"
        ) from error
    if not isinstance(value, dict):
        raise UnreadableError(f"{store.name}: {descriptor['digest']}: expected a JSON object")
    return Document(descriptor["digest"], content, value)


def _of[T](kind: type[T], value: object, place: str) -> T:
    """A value of a document, if it is of a kind; raises `UnreadableError`."""
    if not isinstance(value, kind):
        raise UnreadableError(f"{place}: expected a {kind.__name__}, got {str(value)[:_SHOWN]!r}")
    return value


def _all_of[T](kind: type[T], value: object, place: str) -> list[T]:
    return [_of(kind, each, place) for each in _of(list, value, place)]


def _index(store: Store, document: Document, depth: int) -> Index:
    place = f"{store.name}: {document.digest}: manifests"
    images: dict[str, Image | Index] = {}
    descriptors: dict[str, Mapping[str, Any]] = {}
    for descriptor in _all_of(dict, document.value["manifests"], place):
        node = _node(store, descriptor, depth + 1)
        key = _key(descriptor, node)
        while key in images:
            # Two of one platform: an index may hold them, and nobody shall be hidden.
            head, _, count = key.partition(" #")
            key = f"{head} #{int(count or 1) + 1}"
        images[key] = node
        descriptors[key] = descriptor
    return Index(document, images, descriptors)


def _key(descriptor: Mapping[str, Any], node: "Image | Index") -> str:
    annotations = _of(dict, descriptor.get("annotations") or {}, "annotations of an index")
    # BuildKit's attestations are manifests beside the images.
    if kind := annotations.get("vnd.docker.reference.type"):
        return str(kind)
    platform = descriptor.get("platform")
    if isinstance(platform, dict):
        return platform_name(platform)
    return node.platform if isinstance(node, Image) else "index"


def platform_name(value: Mapping[str, Any]) -> str:
    """A platform as one word: linux/arm64, linux/arm/v7."""
    parts = [value.get("os"), value.get("architecture"), value.get("variant")]
    return "/".join(str(part) for part in parts if part) or "no platform"


def _image(store: Store, manifest: Document, *, synthetic: bool) -> Image:
    config = _document(store, manifest.value["config"])
    place = f"{store.name}: {config.digest}"
    settings = _of(dict, config.value.get("config") or {}, f"{place}: config")
    _of(dict, settings.get("Labels") or {}, f"{place}: Labels")
    root = config.value.get("rootfs")
    named = root.get("diff_ids", []) if isinstance(root, dict) else []
    diff_ids = _all_of(str, named, f"{place}: diff_ids")
    _of(str, config.value.get("architecture") or "", f"{place}: architecture")
    history = _all_of(dict, config.value.get("history") or [], f"{place}: history")
    names = [
        str(entry.get("created_by", "")).rpartition(":")[2].rpartition("/")[2]
        for entry in history
        if not entry.get("empty_layer")
    ]
    place = f"{store.name}: {manifest.digest}: layers"
    descriptors = _all_of(dict, manifest.value["layers"], place)
    if diff_ids and len(diff_ids) != len(descriptors):
        raise UnreadableError(
            f"{store.name}: the manifest has {len(descriptors)} layers, "
            f"the config's rootfs.diff_ids {len(diff_ids)}"
        )
    layers = [
        Layer(
            number=number + 1,
            # Only names: other builders write whole commands there.
            name=names[number] if number < len(names) and names[number].isidentifier() else "",
            digest=_of(str, descriptor.get("digest", ""), f"{place}: digest"),
            diff_id=diff_ids[number] if diff_ids else "",
            media_type=descriptor.get("mediaType", ""),
            store=store,
            descriptor=descriptor,
        )
        for number, descriptor in enumerate(descriptors)
    ]
    if not store.remote:
        # What lies on this machine is checked whole; of a registry only what differs is fetched.
        for layer in layers:
            _ = layer.file
    return Image(manifest, config, layers, platform_name(config.value), synthetic)
