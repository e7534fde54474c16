"""What an image is made of: packages, and every file with the package it belongs to.

The layers themselves say which files there are; their contents (JSON lines that the layer's rule
wrote beside them) say where each is from, and both have to agree.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rules.sbom.error import SbomError
from rules.sbom.licenses import License

# The key of this repository's own files, whose origins are labels of targets.
SOURCES = "//"
_WHITEOUT = ".wh."


@dataclass(frozen=True)
class Component:
    """What a wheel says to have built in, by an SBOM of its own; `ref` is its name in that."""

    ref: str
    name: str
    version: str
    purl: str
    sha256: str
    license: License
    supplier: str
    depends: tuple[str, ...] = ()


@dataclass(frozen=True)
class Package:
    """A package of the image. `key` is what the contents of layers call it.

    `sha256` is of the archive it came in, empty for this repository's own sources. `depends` are
    keys of other packages of the image. `source` is name and version of a Debian source package.
    """

    key: str
    name: str
    version: str
    purl: str
    sha256: str
    license: License
    supplier: str
    originator: str = ""
    homepage: str = ""
    summary: str = ""
    source: tuple[str, str] = ("", "")
    depends: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()


@dataclass(frozen=True)
class ImageFile:
    """A regular file of the image; `made_of` are the paths of what it was made of, if any."""

    path: str
    owner: str
    size: int
    sha1: str
    sha256: str
    made_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inventory:
    """An image of one platform: `digest` is its manifest's, `created` the time its config says."""

    name: str
    digest: str
    architecture: str
    created: str
    labels: Mapping[str, str]
    packages: tuple[Package, ...]
    files: tuple[ImageFile, ...]


@dataclass
class _Found:
    files: dict[str, ImageFile] = field(default_factory=dict)
    # Symbolic links and folders have an owner too, and no digest.
    others: dict[str, str] = field(default_factory=dict)


def owner(origin: str) -> str:
    """The key of the package that an origin means: labels of targets are this repository's."""
    return SOURCES if origin.startswith(("//", "@//", "@@//")) else origin


def files(layers: Iterable[tuple[Path, Path]]) -> tuple[list[ImageFile], dict[str, str]]:
    """The regular files of an image, by path, and the owners of its links and folders.

    `layers` are pairs of archive and contents, lowest first.

    Raises:
        SbomError: an entry has no owner, or archive and contents do not agree.
    """
    found = _Found()
    for archive, contents in layers:
        _layer(found, archive, contents)
    return [found.files[path] for path in sorted(found.files)], dict(sorted(found.others.items()))


def _layer(found: _Found, archive: Path, contents: Path) -> None:
    rows = {row["path"]: row for row in map(json.loads, contents.read_text().splitlines())}
    seen = set()
    with tarfile.open(archive) as members:
        for member in members:
            path = f"/{member.name}"
            seen.add(path)
            if member.name.rpartition("/")[2].startswith(_WHITEOUT):
                raise SbomError(f"{archive.name}: {path} removes a file of a lower layer: unknown")
            row = rows.get(path)
            if row is None or not row.get("origin"):
                raise SbomError(
                    f"{path} of {archive.name} has no owner: {contents.name} says of no package, "
                    "wheel or target that it comes from it"
                )
            found.files.pop(path, None)
            found.others.pop(path, None)
            if member.isfile():
                stream = members.extractfile(member)
                content = stream.read() if stream else b""
                found.files[path] = _file(path, row, content, contents.name)
            else:
                found.others[path] = owner(row["origin"])
    if missing := sorted(rows.keys() - seen):
        raise SbomError(f"{contents.name} has {missing[0]}, which {archive.name} lacks")


def _file(path: str, row: Mapping[str, object], content: bytes, contents: str) -> ImageFile:
    sha256 = hashlib.sha256(content).hexdigest()
    if row.get("sha256") != sha256:
        raise SbomError(
            f"{path}: {contents} says sha256 {row.get('sha256')}, the layer has {sha256}. "
            "They are of two builds"
        )
    made_of = row.get("made_of", [])
    if not isinstance(made_of, list):
        raise SbomError(f"{path}: {contents}: made_of is {made_of!r}; expected a list of paths")
    return ImageFile(
        path=path,
        owner=owner(str(row["origin"])),
        size=len(content),
        sha1=hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        sha256=sha256,
        made_of=tuple(made_of),
    )


def check(
    packages: Sequence[Package], owned: Iterable[ImageFile], others: Mapping[str, str]
) -> None:
    """Checks that every entry has a package, and every package a file.

    Raises:
        SbomError: with the first of each that has not.
    """
    known = {package.key for package in packages}
    strangers = {file.path: file.owner for file in owned if file.owner not in known}
    strangers |= {path: key for path, key in others.items() if key not in known}
    if strangers:
        path, key = min(strangers.items())
        raise SbomError(
            f"{path} comes from {key}, which is neither a Debian package, a wheel nor a target of "
            f"this repository ({len(strangers)} such entries)"
        )
    idle = sorted(known - {file.owner for file in owned})
    if idle:
        raise SbomError(
            f"{', '.join(idle)}: no file of the image comes from there. Take it out of the image: "
            "what it ships is left out by exclusions"
        )
