"""The packages of an image, as its SBOM names them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packageurl import PackageURL

from rules.scan.error import ScanError


@dataclass(frozen=True, order=True)
class Package:
    """A package that advisories can be about.

    `subject` and `subject_version` are what advisories name: of a Debian package its source, whose
    `release` is Debian's number.
    """

    ecosystem: str
    name: str
    version: str
    purl: str
    subject: str
    subject_version: str
    release: str = ""


@dataclass(frozen=True)
class Contents:
    """What SBOMs name: packages, and how many there are that advisories are not looked up for."""

    packages: tuple[Package, ...]
    others: int


def read(files: Iterable[Path]) -> Contents:
    """The packages of some SPDX documents, each once; raises `ScanError` for another file."""
    found: set[Package] = set()
    others: set[str] = set()
    for file in files:
        try:
            document = json.loads(file.read_bytes())
            urls = [url for package in document["packages"] for url in _purls(package)]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ScanError(f"{file}: expected an SBOM in SPDX's JSON: {error!r}") from None
        for url in urls:
            package = _package(PackageURL.from_string(url), url)
            if package:
                found.add(package)
            elif not url.startswith("pkg:oci/"):
                others.add(url)
    if not found:
        raise ScanError(
            "the SBOM names no Debian package and no wheel: it is of no image built here"
        )
    return Contents(tuple(sorted(found)), len(others))


def _purls(package: Any) -> list[str]:
    return [
        reference["referenceLocator"]
        for reference in package.get("externalRefs", [])
        if reference["referenceType"] == "purl"
    ]


def _package(purl: PackageURL, text: str) -> Package | None:
    version = purl.version or ""
    if purl.type == "pypi":
        return Package("PyPI", purl.name, version, text, purl.name, version)
    if purl.type == "deb" and purl.namespace == "debian":
        qualifiers = dict(purl.qualifiers)
        source, _, source_version = qualifiers.get("upstream", "").partition("@")
        return Package(
            "Debian",
            purl.name,
            version,
            text,
            source or purl.name,
            source_version or version,
            qualifiers.get("distro", "").removeprefix("debian-"),
        )
    return None
