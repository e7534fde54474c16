"""What is in an image by what its own files say, as scanners read it: dpkg's status, `.dist-info`.

So an image is read of which nobody has the SBOM any more.
"""

import email
import email.policy
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from debian.deb822 import Packages
from packaging.utils import canonicalize_name

from rules.diff.image import Image, Index, Layer
from rules.diff.layer import unpack
from rules.report.error import ReportError
from rules.sbom import licenses
from rules.scan.packages import Package
from rules.update import image

_BUILT_BY = "bazel build "
_STATUS = re.compile(r"/var/lib/dpkg/status\.d/[^/]+(?<!\.md5sums)")
_DIST_INFO = re.compile(r"(?P<folder>.*/(?:dist|site)-packages/[^/]+\.dist-info)/(?P<file>.+)")
_COPYRIGHT = re.compile(r"/usr/share/doc/[^/]+/copyright")
_DOC = "/usr/share/doc"


@dataclass(frozen=True)
class Inspected:
    """An image of one CPU: what is compared of it, and what advisories can be about."""

    digest: str
    image: image.Image
    packages: tuple[Package, ...]


@dataclass
class _Files:
    """Of some layers, by path: sha256, and the texts that are read."""

    hashes: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


def images(node: Image | Index) -> dict[str, Image]:
    """The images of an index, or the one that is there alone, by CPU."""
    every = [node] if isinstance(node, Image) else node.images.values()
    # Beside images an index may have attestations, which are for no CPU, and other indexes.
    return {
        str(each.config.value["architecture"]): each
        for each in every
        if isinstance(each, Image)
        and each.config.value.get("architecture") not in {None, "", "unknown"}
    }


def title(node: Image) -> str:
    """What an image is called by its label, "" where it has none."""
    labels = (node.config.value.get("config") or {}).get("Labels") or {}
    return str(labels.get("org.opencontainers.image.title", ""))


class Inspector:
    """Reads images; `scratch` is a folder for unpacked layers. A layer of two is read once."""

    def __init__(self, scratch: str) -> None:
        self._scratch = scratch
        self._layers: dict[str, _Files] = {}

    def read(self, node: Image, name: str) -> Inspected:
        """What is in an image, which errors call by a name.

        Raises:
            UnreadableError: a layer is missing or torn.
            ReportError: what it says of its packages cannot be read.
        """
        files = _Files()
        for layer in node.layers:
            one = self._layer(layer)
            files.hashes |= one.hashes
            files.texts |= one.texts
        found = sorted([*_debs(files, name), *_wheels(files, name)])
        return Inspected(
            digest=node.manifest.digest,
            image=image.Image(
                packages={(each.ecosystem, each.name): each.version for each, _ in found},
                licences={(each.ecosystem, each.name): said for each, said in found if said},
                layers=dict(zip(_names(node), map(_size, node.layers), strict=True)),
                files=files.hashes,
            ),
            packages=tuple(each for each, _ in found),
        )

    def _layer(self, layer: Layer) -> _Files:
        if layer.digest not in self._layers:
            self._layers[layer.digest] = self._unpacked(layer)
        return self._layers[layer.digest]

    def _unpacked(self, layer: Layer) -> _Files:
        files = _Files()
        unpacked = unpack(layer, self._scratch)
        with unpacked.tar:
            for entry in unpacked.entries or ():
                if entry.is_file:
                    content = unpacked.content(entry)
                    files.hashes[entry.path] = hashlib.sha256(content).hexdigest()
                    if _is_read(entry.path):
                        files.texts[entry.path] = content.decode(errors="replace")
        return files


def _is_read(path: str) -> bool:
    return any(pattern.fullmatch(path) for pattern in (_STATUS, _DIST_INFO, _COPYRIGHT))


def _names(node: Image) -> list[str]:
    """What made each layer, as its history has it; its number where that says nothing."""
    history = node.config.value.get("history") or []
    made = [
        str(each.get("created_by", "")).removeprefix(_BUILT_BY)
        for each in history
        if not each.get("empty_layer")
    ]
    if len(made) != len(node.layers) or len(set(made)) != len(made):
        return [f"layer {layer.number}" for layer in node.layers]
    return made


def _size(layer: Layer) -> int:
    return int(layer.descriptor.get("size", 0))


def _debs(files: _Files, image_name: str) -> Iterator[tuple[Package, str]]:
    """Debian packages with their licences, "" where the image has no copyright file."""
    paragraphs = {
        path: Packages(text) for path, text in files.texts.items() if _STATUS.fullmatch(path)
    }
    texts = {}
    release = ""
    for path, each in sorted(paragraphs.items()):
        if not each.get("Package") or not each.get("Version"):
            raise ReportError(
                f"{image_name}: {path}: expected Package and Version of a Debian package"
            )
        if text := files.texts.get(f"/usr/share/doc/{each['Package']}/copyright"):
            # Packages of one source may share the file of one of them, by a link.
            texts[each["Package"]] = text
            texts.setdefault(f"source {each.source}", text)
        # As the SBOM has it: base-files has the release's number for version.
        if each["Package"] == "base-files":
            release = re.split(r"[.+]", each["Version"])[0]
    for each in paragraphs.values():
        name, source = each["Package"], str(each.source)
        text = texts.get(name) or texts.get(f"source {source}", "")
        package = Package(
            ecosystem="Debian",
            name=name,
            version=each["Version"],
            purl="",
            subject=source,
            subject_version=str(each.source_version),
            release=release,
        )
        yield package, licenses.of_copyright_file(text, source).expression if text else ""


def _wheels(files: _Files, image_name: str) -> Iterator[tuple[Package, str]]:
    folders: dict[str, dict[str, str]] = {}
    for path, text in files.texts.items():
        if match := _DIST_INFO.fullmatch(path):
            folders.setdefault(match["folder"], {})[match["file"]] = text
    for folder, texts in folders.items():
        metadata = _metadata(f"{image_name}: {folder}", texts)
        name, version = canonicalize_name(metadata["Name"]), str(metadata["Version"])
        declared = licenses.of_wheel(metadata, _licence_files(texts))
        yield Package("PyPI", name, version, "", name, version), declared.expression


def _metadata(folder: str, texts: Mapping[str, str]) -> Message:
    text = texts.get("METADATA", "")
    metadata: Any = email.message_from_string(text, policy=email.policy.compat32)
    if not metadata["Name"] or not metadata["Version"]:
        raise ReportError(f"{folder}/METADATA: expected Name and Version of a wheel")
    return metadata  # type: ignore[no-any-return]


def _licence_files(texts: Mapping[str, str]) -> Mapping[str, str]:
    return {
        path: text
        for path, text in texts.items()
        if "LICEN" in path.upper() or "COPYING" in path.upper()
    }
