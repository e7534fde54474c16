"""Debian packages of an image, as their .deb archives describe them."""

import hashlib
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from debian.deb822 import Deb822
from packageurl import PackageURL

from rules.layers import deb
from rules.layers.tree import File, LayerError, Symlink
from rules.sbom.error import SbomError
from rules.sbom.inventory import Package
from rules.sbom.licenses import of_copyright_file

_DOC = "usr/share/doc"


@dataclass(frozen=True)
class _Read:
    sha256: str
    paragraph: Deb822
    # Of this package's folder of documentation: what it is a link to, and its copyright file.
    link: str
    copyright: str


def read(files: Iterable[Path]) -> list[Package]:
    """The packages that some .deb files are, sorted by name.

    Raises:
        SbomError: a file is no .deb, or its copyright file is in none of them.
    """
    found = {}
    for file in files:
        one = _read(file)
        found[one.paragraph["Package"]] = one
    provided = _provided(found)
    release = _release(found)
    return [_package(name, found, provided, release) for name in sorted(found)]


def _release(found: Mapping[str, _Read]) -> Mapping[str, str]:
    """Debian's release, as a qualifier of package URLs; base-files has its number for version."""
    if "base-files" not in found:
        return {}
    number = found["base-files"].paragraph["Version"].partition(".")[0].partition("+")[0]
    return {"distro": f"debian-{number}"}


def _read(file: Path) -> _Read:
    try:
        archive = deb.read(file)
    except LayerError as error:
        raise SbomError(str(error)) from None
    entries = dict(archive.entries)
    folder = f"{_DOC}/{archive.name}"
    linked = entries.get(folder)
    text = entries.get(f"{folder}/copyright")
    # A copyright file may be a link as well, to another of the same source.
    if isinstance(text, Symlink):
        linked = Symlink(posixpath.dirname(text.target), text.origin)
    link = ""
    if isinstance(linked, Symlink):
        link = posixpath.basename(linked.target.rstrip("/"))
    content = text.read().decode(errors="replace") if isinstance(text, File) else ""
    with file.open("rb") as handle:
        sha256 = hashlib.file_digest(handle, "sha256").hexdigest()
    return _Read(sha256, Deb822(archive.control), link, content)


def source_of(paragraph: Mapping[str, str]) -> tuple[str, str]:
    """Name and version of the source package (Debian Policy 5.6.1).

    >>> source_of({"Package": "a", "Version": "1", "Source": "b (2)"})
    ('b', '2')
    """
    match = re.fullmatch(r"(\S+)(?:\s+\((\S+)\))?", paragraph.get("Source", "").strip())
    if not match:
        return paragraph["Package"], paragraph["Version"]
    return match[1], match[2] or paragraph["Version"]


def _provided(found: Mapping[str, _Read]) -> dict[str, str]:
    """Which package has a name: its own, or one that it provides."""
    names: dict[str, str] = {}
    for package in sorted(found):
        for virtual in re.split(r"\s*,\s*", found[package].paragraph.get("Provides", "")):
            if virtual:
                names.setdefault(virtual.split(" ")[0], package)
    return names | {package: package for package in found}


def _package(
    name: str, found: Mapping[str, _Read], provided: Mapping[str, str], release: Mapping[str, str]
) -> Package:
    one = found[name]
    paragraph = one.paragraph
    source, source_version = source_of(paragraph)
    text = _copyright(name, found)
    qualifiers = {"arch": paragraph["Architecture"], **release}
    if (source, source_version) != (name, paragraph["Version"]):
        qualifiers["upstream"] = f"{source}@{source_version}"
    return Package(
        key=name,
        name=name,
        version=paragraph["Version"],
        purl=PackageURL("deb", "debian", name, paragraph["Version"], qualifiers).to_string(),
        sha256=one.sha256,
        license=of_copyright_file(text, source),
        supplier="Debian",
        originator=paragraph.get("Maintainer", ""),
        homepage=paragraph.get("Homepage", ""),
        summary=paragraph.get("Description", "").partition("\n")[0],
        source=(source, source_version),
        depends=tuple(sorted(_depends(paragraph, provided) - {name})),
    )


def _copyright(name: str, found: Mapping[str, _Read]) -> str:
    seen = [name]
    while not found[seen[-1]].copyright:
        link = found[seen[-1]].link
        if link not in found or link in seen:
            raise SbomError(
                f"{name} has no copyright file among the image's packages: /{_DOC}/{seen[-1]} "
                f"{f'is a link to {link}' if link else 'holds none'}. Add the package that has it "
                "to the same group of packages.toml"
            )
        seen.append(link)
    return found[seen[-1]].copyright


def _depends(paragraph: Mapping[str, str], provided: Mapping[str, str]) -> set[str]:
    """The packages of the image that a package depends on; of alternatives, the first there is."""
    depends = set()
    for kind in ("Pre-Depends", "Depends"):
        for alternatives in paragraph.get(kind, "").split(","):
            names = (re.split(r"[\s(:]", each.strip())[0] for each in alternatives.split("|"))
            first = next((provided[name] for name in names if name in provided), None)
            if first:
                depends.add(first)
    return depends
