"""An image as its layout and its SBOM tell of it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packageurl import PackageURL

from rules.layout.layout import Layout

_BUILT_BY = "bazel build "
_ECOSYSTEMS = {"deb": "Debian", "pypi": "PyPI"}


@dataclass(frozen=True)
class Image:
    """What is in the image of one CPU.

    `packages` and `licences` are by ecosystem and name, `layers` are compressed sizes in bytes by
    the label of the layer, `files` are sha256 by path.
    """

    packages: Mapping[tuple[str, str], str]
    licences: Mapping[tuple[str, str], str]
    layers: Mapping[str, int]
    files: Mapping[str, str]


def read(index: Path, sboms: Mapping[str, Path]) -> dict[str, Image]:
    """The images of an index, by CPU, each with its SBOM in SPDX's JSON."""
    layout = Layout(index)
    manifests = layout.images()
    return {
        architecture: _image(layout, manifests[architecture], json.loads(sbom.read_bytes()))
        for architecture, sbom in sorted(sboms.items())
    }


def _image(layout: Layout, digest: str, sbom: Mapping[str, Any]) -> Image:
    packages, licences = {}, {}
    for package in sbom["packages"]:
        for url in _purls(package):
            if ecosystem := _ECOSYSTEMS.get(url.type):
                packages[ecosystem, url.name] = url.version or ""
                licences[ecosystem, url.name] = package.get("licenseDeclared", "NOASSERTION")
    history = [
        each["created_by"].removeprefix(_BUILT_BY)
        for each in layout.config(digest)["history"]
        if not each.get("empty_layer")
    ]
    sizes = [layer["size"] for layer in layout.manifest(digest)["layers"]]
    return Image(
        packages,
        licences,
        dict(zip(history, sizes, strict=True)),
        {
            file["fileName"].removeprefix("."): _sha256(file["checksums"])
            for file in sbom.get("files", [])
        },
    )


def _purls(package: Mapping[str, Any]) -> Iterable[PackageURL]:
    for reference in package.get("externalRefs", []):
        if reference["referenceType"] == "purl":
            yield PackageURL.from_string(reference["referenceLocator"])


def _sha256(checksums: Iterable[Mapping[str, str]]) -> str:
    return next(each["checksumValue"] for each in checksums if each["algorithm"] == "SHA256")
