"""A small service's images as a build leaves them: layout, SBOMs, provenance."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rules.diff.tests import images
from rules.diff.tests.images import Item

CPUS = ("amd64", "arm64")
DIST = "/usr/local/lib/python3.13/dist-packages"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What the images hold: one Debian package, one wheel, and the service's own file."""

    title: str = "hello"
    debian: str = "1.0-1"
    wheel: str = "2.0"
    licence: str = "MIT"
    more: Mapping[str, str] = field(default_factory=dict)

    def layers(self) -> dict[str, dict[str, tuple[str, str]]]:
        """By layer and path, the package that a file is of, and its content."""
        info = f"{DIST}/two-{self.wheel}.dist-info"
        return {
            "base": {
                "/usr/lib/libone.so": ("libone", f"library {self.debian}"),
                "/usr/share/doc/libone/copyright": (
                    "libone",
                    (
                        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
                        "\nFiles: *\nCopyright: nobody\nLicense: Expat\n"
                    ),
                ),
                "/var/lib/dpkg/status.d/libone": (
                    "libone",
                    (
                        "Package: libone\nSource: one\nArchitecture: amd64\n"
                        f"Version: {self.debian}\nDescription: a library\n"
                    ),
                ),
                "/var/lib/dpkg/status.d/libone.md5sums": ("libone", ""),
            },
            "packages": {
                f"{DIST}/two/__init__.py": ("two", "two = 2\n"),
                f"{info}/METADATA": (
                    "two",
                    (
                        f"Metadata-Version: 2.4\nName: Two\nVersion: {self.wheel}\n"
                        f"License-Expression: {self.licence}\n"
                    ),
                ),
            },
            "app": {
                "/app/<odd>.py": (self.title, "import two\n"),
                **{path: (self.title, content) for path, content in self.more.items()},
            },
        }


@dataclass(frozen=True)
class Built:
    """Where the images and what describes them lie."""

    index: Path
    provenance: Path
    sboms: Mapping[str, Path]
    digest: str

    @property
    def arguments(self) -> Sequence[str]:
        """What the program is given by its target."""
        words = ["--name=hello", f"--index={self.index}", f"--provenance={self.provenance}"]
        for cpu, file in self.sboms.items():
            words += ["--sbom", cpu, str(file)]
        return words


def build(folder: Path, sample: Sample | None = None, cpus: Sequence[str] = CPUS) -> Built:
    """Writes images to a new folder, with what describes them."""
    of = sample or Sample()
    folder.mkdir()
    layout = images.Layout(folder / "index")
    made = [_image(layout, of, cpu) for cpu in cpus]
    index = layout.index(made)
    layout.finish(index)
    sboms = {}
    for cpu, manifest in zip(cpus, made, strict=True):
        sboms[cpu] = folder / f"{cpu}.spdx.json"
        sboms[cpu].write_text(json.dumps(_sbom(of, manifest["digest"], cpu)))
    provenance = folder / "provenance.json"
    provenance.write_text(json.dumps(_provenance(index["digest"])))
    return Built(layout.folder, provenance, sboms, index["digest"])


def _image(layout: images.Layout, of: Sample, cpu: str) -> dict[str, Any]:
    layers = of.layers()
    labels = {"org.opencontainers.image.title": of.title}
    archives = [
        images.tar(
            [
                Item(path.lstrip("/"), content, mode=0o755 if path.endswith(".so") else 0o644)
                for path, (_, content) in files.items()
            ]
        )
        for files in layers.values()
    ]
    config = {"config": {"Entrypoint": ["/usr/bin/python3.13"], "Labels": labels}}
    manifest = layout.image(archives, architecture=cpu, names=list(layers), config=config)
    return manifest | {"platform": {"os": "linux", "architecture": cpu}}


def _sbom(of: Sample, digest: str, cpu: str) -> Any:
    def package(name: str, version: str, licence: str, purl: str = "") -> dict[str, Any]:
        reference = {"referenceType": "purl", "referenceLocator": purl}
        return {
            "SPDXID": f"SPDXRef-{name}",
            "name": name,
            "versionInfo": version,
            "licenseDeclared": licence,
            "externalRefs": [reference] if purl else [],
        }

    debian = f"pkg:deb/debian/libone@{of.debian}?arch={cpu}&upstream=one"
    files = [item for layer in of.layers().values() for item in layer.items()]
    related = [
        *(("SPDXRef-Image", f"SPDXRef-{name}") for name in ("libone", "two", of.title)),
        *((f"SPDXRef-{owner}", f"SPDXRef-File-{path}") for path, (owner, _) in files),
    ]
    return {
        "packages": [
            package("Image", digest, "NOASSERTION"),
            package("libone", of.debian, "MIT", debian),
            package("two", of.wheel, of.licence, f"pkg:pypi/two@{of.wheel}"),
            package(of.title, "sha256:0", "Apache-2.0"),
        ],
        "files": [{"SPDXID": f"SPDXRef-File-{path}", "fileName": f".{path}"} for path, _ in files],
        "relationships": [
            {"relationshipType": "CONTAINS", "spdxElementId": one, "relatedSpdxElement": other}
            for one, other in related
        ],
    }


def _provenance(digest: str) -> Any:
    def resource(name: str, value: str, **more: str) -> dict[str, Any]:
        return {"name": name, "digest": {"sha256": value}, **more}

    return {
        "subject": [resource("hello", digest.removeprefix("sha256:"))],
        "predicate": {
            "buildDefinition": {
                "externalParameters": {"target": "//hello:index", "options": []},
                "resolvedDependencies": [
                    resource("image/lock.json", "aa"),
                    resource("libone-1", "bb", uri="pkg:deb/debian/libone@1.0-1?arch=amd64"),
                    resource("libone-2", "cc", uri="pkg:deb/debian/libone@1.0-1?arch=arm64"),
                    resource("two-1", "dd", uri="pkg:pypi/two@2.0"),
                ],
            },
            "runDetails": {"builder": {"version": {"bazel": "7.7.1"}}},
        },
    }
