"""What a report is about: the layers of each image, their packages, and the files of those."""

import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rules.layout.layout import Layout
from rules.report.error import ReportError

_BUILT_BY = "bazel build "
_ROOT = "SPDXRef-Image"


@dataclass(frozen=True)
class Package:
    """A package as the SBOM names it; `purl` is "" for this repository's own files."""

    name: str
    version: str
    licence: str
    purl: str


@dataclass
class Layer:
    """A layer: `size` is compressed, sizes of files are not; both in bytes.

    `packages` are sizes by path, by the name of the package that the SBOM gives a file to.
    """

    label: str
    digest: str
    size: int
    packages: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def unpacked(self) -> int:
        """The size of all its files."""
        return sum(sum(files.values()) for files in self.packages.values())

    @property
    def sizes(self) -> list[tuple[str, int]]:
        """Its packages with the size of their files, the largest first."""
        return largest({name: sum(files.values()) for name, files in self.packages.items()})


@dataclass(frozen=True)
class Image:
    """An image of one CPU; `executables` are the paths that a process may execute."""

    architecture: str
    digest: str
    layers: tuple[Layer, ...]
    packages: tuple[Package, ...]
    executables: tuple[str, ...]


def largest(sizes: Mapping[str, int]) -> list[tuple[str, int]]:
    """Names and sizes, the largest first, those of one size by name."""
    return sorted(sizes.items(), key=lambda each: (-each[1], each[0]))


def read(index: Path, sboms: Mapping[str, Path]) -> tuple[str, list[Image]]:
    """The digest of an index and its images, by CPU, each with its SBOM in SPDX's JSON.

    Raises:
        ReportError: an SBOM is of another image, or the index has none for its CPU.
    """
    layout = Layout(index)
    manifests = layout.images()
    images = []
    for architecture, file in sorted(sboms.items()):
        sbom = json.loads(file.read_bytes())
        about = next(each["versionInfo"] for each in sbom["packages"] if each["SPDXID"] == _ROOT)
        if manifests.get(architecture) != about:
            raise ReportError(
                f"{file}: expected the SBOM of {manifests.get(architecture)}, got that of {about}. "
                "Build both anew"
            )
        images.append(_image(layout, index, architecture, about, sbom))
    return layout.digest, images


def _image(
    layout: Layout, folder: Path, architecture: str, digest: str, sbom: Mapping[str, Any]
) -> Image:
    owners = _owners(sbom)
    history = [
        each["created_by"].removeprefix(_BUILT_BY)
        for each in layout.config(digest)["history"]
        if not each.get("empty_layer")
    ]
    layers = []
    executables = set()
    for label, blob in zip(history, layout.manifest(digest)["layers"], strict=True):
        layer = Layer(label, blob["digest"], blob["size"])
        with tarfile.open(folder / "blobs" / blob["digest"].replace(":", "/", 1)) as archive:
            for member in archive:
                if member.isfile():
                    path = f"/{member.name.removeprefix('./')}"
                    layer.packages.setdefault(owners[path], {})[path] = member.size
                    if member.mode & 0o111:
                        executables.add(path)
        layers.append(layer)
    packages = sorted(
        (each["name"], each["versionInfo"], each["licenseDeclared"], _purl(each))
        for each in sbom["packages"]
        if each["SPDXID"] in _children(sbom)
    )
    return Image(
        architecture,
        digest,
        tuple(layers),
        tuple(Package(*each) for each in packages),
        tuple(sorted(executables)),
    )


def _purl(package: Mapping[str, Any]) -> str:
    for reference in package.get("externalRefs", []):
        if reference["referenceType"] == "purl":
            return str(reference["referenceLocator"])
    return ""


def _children(sbom: Mapping[str, Any]) -> set[str]:
    return {
        each["relatedSpdxElement"]
        for each in sbom["relationships"]
        if each["relationshipType"] == "CONTAINS" and each["spdxElementId"] == _ROOT
    }


def _owners(sbom: Mapping[str, Any]) -> dict[str, str]:
    """The name of the package that each path belongs to."""
    names = {each["SPDXID"]: each["name"] for each in sbom["packages"]}
    paths = {each["SPDXID"]: each["fileName"].removeprefix(".") for each in sbom["files"]}
    return {
        paths[each["relatedSpdxElement"]]: names[each["spdxElementId"]]
        for each in sbom["relationships"]
        if each["relationshipType"] == "CONTAINS" and each["relatedSpdxElement"] in paths
    }
