"""Reads .deb archives (deb(5)) without dpkg."""

import gzip
import io
import lzma
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rules.layers.tree import Directory, Entry, File, LayerError, Symlink, normal

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER = 60


@dataclass(frozen=True)
class Deb:
    """A package: its control paragraph, its md5sums file, and what it installs."""

    name: str
    control: str
    md5sums: str
    entries: tuple[tuple[str, Entry], ...]


def read(file: Path) -> Deb:
    """Reads a .deb; raises `LayerError` naming the file where it is none."""
    members = dict(_members(file))
    control = _tar(file, members, "control.tar")
    data = _tar(file, members, "data.tar")
    texts = {
        member.name.removeprefix("./"): _content(control, member).decode()
        for member in control
        if member.isfile()
    }
    paragraph = texts.get("control", "")
    name = next(
        (
            line.partition(":")[2].strip()
            for line in paragraph.splitlines()
            if line.startswith("Package:")
        ),
        "",
    )
    if not name:
        raise LayerError(f"{file}: its control file names no package")
    entries = tuple(_entries(data, name))
    return Deb(name, paragraph, texts.get("md5sums", ""), entries)


def _entries(data: tarfile.TarFile, name: str) -> Iterator[tuple[str, Entry]]:
    for member in data:
        if member.name in (".", "./", ""):
            continue
        path = normal(member.name)
        if member.isfile():
            executable = bool(member.mode & stat.S_IXUSR)
            yield path, File(_content(data, member), executable, name)
        elif member.issym():
            yield path, Symlink(member.linkname, name)
        elif member.islnk():
            original = data.getmember(member.linkname)
            executable = bool(original.mode & stat.S_IXUSR)
            yield path, File(_content(data, original), executable, name)
        elif member.isdir():
            yield path, Directory(name)
        else:
            raise LayerError(f"/{path} from {name} is a device or socket; images have none")


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return stream.read() if stream else b""


def _members(file: Path) -> Iterator[tuple[str, bytes]]:
    content = file.read_bytes()
    if not content.startswith(_AR_MAGIC):
        raise LayerError(f"{file}: expected a .deb (an ar archive), got {content[:8]!r}")
    offset = len(_AR_MAGIC)
    while offset + _AR_HEADER <= len(content):
        header = content[offset : offset + _AR_HEADER].decode("ascii", "replace")
        name, size = header[:16].strip().removesuffix("/"), int(header[48:58])
        offset += _AR_HEADER
        if offset + size > len(content):
            raise LayerError(f"{file}: cut short: {name} should have {size} bytes")
        yield name, content[offset : offset + size]
        offset += size + size % 2


def _tar(file: Path, members: dict[str, bytes], stem: str) -> tarfile.TarFile:
    name = next((name for name in members if name.startswith(stem)), "")
    content = members.get(name, b"")
    match name.removeprefix(stem):
        case ".xz":
            plain = lzma.decompress(content)
        case ".gz":
            plain = gzip.decompress(content)
        case "" if name:
            plain = content
        case _:
            found = ", ".join(sorted(members)) or "nothing"
            raise LayerError(f"{file}: expected a member {stem}.xz or .gz; it holds {found}")
    return tarfile.open(fileobj=io.BytesIO(plain))
