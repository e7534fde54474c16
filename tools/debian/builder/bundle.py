"""One archive that lets a machine without any network build: builder root, packages and wheels.

A bundle is a tar archive (POSIX.1-2001, not compressed). Its first member, `bundle.json`, names the
others with their sizes and SHA-256: `root.tar.gz` is the builder root, `repositories/HASH` are
entries of Bazel's repository cache, `wheels/...` are the wheels that were fetched.
"""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tools.debian.builder import root, stages
from tools.debian.builder.error import BuilderError
from tools.signals.termination import terminable

FORMAT = 1
MANIFEST = "bundle.json"
ROOT = "root.tar.gz"
REPOSITORIES = "repositories/"
WHEELS = "wheels/"

# Below the folder that `--output_user_root` names, Bazel keeps what it has downloaded by its hash.
_REPOSITORY_CACHE = Path("output/cache/repos/v1/content_addressable/sha256")
_HASH = re.compile(r"\b[0-9a-f]{64}\b")
_BLOCK = 1 << 20
_REPORT_SECONDS = 5.0


@dataclass(frozen=True)
class Member:
    """One file of a bundle.

    Attributes:
        name: its path in the archive.
        sha256: of its bytes, in hexadecimal.
        size: in bytes.
    """

    name: str
    sha256: str
    size: int


def write(target: Path, *, builder: Path, cache: Path, locks: Iterable[Path]) -> list[Member]:
    """Writes a bundle of a builder root and of all that locks name and this machine has fetched.

    The bytes depend on the root and the locks alone: entries are sorted, and have no other time or
    owner than the root's files have.

    Args:
        target: the file to write; it is there when it is whole.
        builder: the builder root.
        cache: the folder that holds it, Bazel's repository cache and the wheels.
        locks: files that name SHA-256 hashes of what is fetched. Of a .txt, pip's kind of lock,
            only some are: the wheels that fit this project's platforms.

    Raises:
        BuilderError: the cache holds nothing that the locks of packages name.
    """
    locks = list(locks)
    known = {found for lock in locks for found in _HASH.findall(lock.read_text())}
    packages = {
        found
        for lock in locks
        if lock.suffix != ".txt"
        for found in _HASH.findall(lock.read_text())
    }
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        packed = Path(scratch, ROOT)
        files = {ROOT: packed, **_repositories(cache, packages), **_wheels(cache, known)}
        _pack(builder, packed)
        members = [
            Member(name, sha256(file), file.stat().st_size)
            for name, file in sorted(files.items(), key=lambda item: (item[0] != ROOT, item[0]))
        ]
        manifest = json.dumps(
            {
                "format": FORMAT,
                "machine": os.uname().machine,
                "root": builder.name,
                "files": [vars(member) for member in members],
            },
            indent=1,
        ).encode()
        whole = Path(scratch, "bundle")
        with tarfile.open(whole, "w", format=tarfile.PAX_FORMAT) as archive:
            _add(archive, MANIFEST, len(manifest), io.BytesIO(manifest))
            for member in members:
                with files[member.name].open("rb") as source:
                    _add(archive, member.name, member.size, source)
        whole.rename(target)
    return members


def unpack(bundle: Path, *, builder: Path, cache: Path) -> None:
    """Puts what a bundle holds into the cache folder, unless this was done before.

    Every byte is compared with the manifest's hash before anything is in its place.

    Args:
        bundle: the archive.
        builder: where this checkout wants its builder root.
        cache: the folder of roots, repository cache and wheels.

    Raises:
        BuilderError: the file is no bundle, is torn, or is one of another checkout or machine.
    """
    try:
        with tarfile.open(bundle, "r:") as archive:
            manifest = _manifest(bundle, archive)
            mark = cache / "bundles" / hashlib.sha256(manifest).hexdigest()
            members = _checked(bundle, manifest, builder)
            if _is_there(mark, builder):
                return
            builder.parent.mkdir(parents=True, exist_ok=True)
            with terminable(), root.alone(builder):
                if _is_there(mark, builder):
                    return
                for dead in builder.parent.glob(f"{builder.name}.partial-*"):
                    shutil.rmtree(dead)
                say(f"unpacking {bundle.name}, once")
                for member in members:
                    _place(bundle, archive, member, builder, cache)
                mark.parent.mkdir(exist_ok=True)
                mark.touch()
    except (OSError, tarfile.TarError, EOFError) as error:
        raise BuilderError(f"{bundle}: expected a bundle, and could not read it: {error}") from None
    say("unpacked")


def _is_there(mark: Path, builder: Path) -> bool:
    return mark.exists() and stages.reached(builder, tests=True)


def say(text: str) -> None:
    """Tell the person how far it is."""
    print(f"tools/bazel: {text}", file=sys.stderr, flush=True)


def _repositories(cache: Path, wanted: Iterable[str]) -> dict[str, Path]:
    folder = cache / _REPOSITORY_CACHE
    entries = {f"{REPOSITORIES}{entry}": folder / entry / "file" for entry in sorted(wanted)}
    found = {name: file for name, file in entries.items() if file.is_file()}
    if entries and not found:
        raise BuilderError(f"{folder}: holds none of the {len(entries)} locked packages")
    return found


def _wheels(cache: Path, known: set[str]) -> dict[str, Path]:
    folder = cache / "wheels"
    return {
        f"{WHEELS}{wheel.relative_to(folder).as_posix()}": wheel
        for wheel in sorted(folder.glob("*/*/*.whl"))
        if sha256(wheel) in known
    }


def _add(archive: tarfile.TarFile, name: str, size: int, source: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o644
    archive.addfile(entry, source)


def _pack(builder: Path, target: Path) -> None:
    """Writes a root as root.tar.gz: sorted, devices left out, without a time in gzip's header."""
    # An ordinary user's root belongs to that user, who is nobody on another machine.
    keep_owners = os.geteuid() == 0
    started = reported = time.monotonic()
    done = 0
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=3, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in _sorted(builder):
            if not (path.is_symlink() or path.is_dir() or path.is_file()):
                # A device, which the sandbox makes itself, or a socket.
                continue
            entry = archive.gettarinfo(path, f"./{path.relative_to(builder).as_posix()}")
            entry.uname = entry.gname = ""
            entry.mtime = int(entry.mtime)
            if not keep_owners:
                entry.uid = entry.gid = 0
            if not entry.isreg():
                archive.addfile(entry)
                continue
            with path.open("rb") as source:
                archive.addfile(entry, source)
            done += entry.size
            if time.monotonic() - reported > _REPORT_SECONDS:
                reported = time.monotonic()
                say(f"packing the builder root: {done >> 20} MB, {reported - started:.0f} s")


def _sorted(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _sorted(path)


def _manifest(bundle: Path, archive: tarfile.TarFile) -> bytes:
    entry = archive.next()
    source = archive.extractfile(entry) if entry is not None and entry.name == MANIFEST else None
    if source is None:
        raise BuilderError(f"{bundle}: expected a bundle, whose first member is {MANIFEST}")
    return source.read()


def _checked(bundle: Path, text: bytes, builder: Path) -> list[Member]:
    """The members, of a bundle that fits this machine and checkout."""
    try:
        return _fitting(bundle, json.loads(text), builder)
    except (ValueError, TypeError, LookupError, AttributeError):
        raise BuilderError(
            f"{bundle}: its {MANIFEST} is not one. "
            "The file is torn or was changed: copy it once more."
        ) from None


def _fitting(bundle: Path, manifest: Any, builder: Path) -> list[Member]:
    if manifest.get("format") != FORMAT:
        raise BuilderError(f"{bundle}: format {manifest.get('format')}; expected {FORMAT}")
    machine = os.uname().machine
    if manifest["machine"] != machine:
        raise BuilderError(
            f"{bundle}: made on {manifest['machine']}, and this is {machine}. Make one with "
            "`tools/bazel run //tools:bundle -- FILE` on such a machine."
        )
    if manifest["root"] != builder.name:
        raise BuilderError(
            f"{bundle}: holds the builder root {manifest['root']}, and this checkout wants "
            f"{builder.name}. Make one from this commit: tools/bazel run //tools:bundle -- FILE"
        )
    return [Member(**one) for one in manifest["files"]]


def _place(
    bundle: Path, archive: tarfile.TarFile, member: Member, builder: Path, cache: Path
) -> None:
    entry = archive.next()
    source = archive.extractfile(entry) if entry is not None else None
    if entry is None or source is None or entry.name != member.name:
        raise BuilderError(f"{bundle}: is torn: {member.name} is missing. Copy it once more.")
    if member.name == ROOT:
        _place_root(bundle, source, member, builder)
        return
    place = _destination(member, cache)
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f".{place.name}.partial")
    try:
        with partial.open("wb") as target:
            digest = _copy(source, target)
        _compare(bundle, member, digest)
        partial.rename(place)
    finally:
        partial.unlink(missing_ok=True)


def _destination(member: Member, cache: Path) -> Path:
    kind, _, rest = member.name.partition("/")
    if kind == "repositories" and _HASH.fullmatch(rest):
        return cache / _REPOSITORY_CACHE / rest / "file"
    parts = Path(rest).parts
    if kind == "wheels" and rest and ".." not in parts and not rest.startswith("/"):
        return cache / "wheels" / rest
    raise BuilderError(f"{member.name}: expected root, repositories or wheels in a bundle")


def _place_root(bundle: Path, source: IO[bytes], member: Member, builder: Path) -> None:
    if stages.reached(builder, tests=True):
        _compare(bundle, member, _copy(source, None))
        return
    if builder.is_dir():
        raise BuilderError(
            f"{builder} lacks what tests call, and what {bundle} holds may be of other versions. "
            f"End Bazel (tools/bazel shutdown), remove {builder}, and try again."
        )
    partial = Path(tempfile.mkdtemp(dir=builder.parent, prefix=f"{builder.name}.partial-"))
    owner = "--numeric-owner" if os.geteuid() == 0 else "--no-same-owner"
    command = ["tar", "-x", "-z", "-p", owner, "-C", str(partial)]
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            digest = _copy(source, process.stdin)
            process.stdin.close()
        _compare(bundle, member, digest)
        if process.returncode:
            raise BuilderError(f"{bundle}: tar could not unpack the builder root")
        partial.chmod(0o755)
        partial.rename(builder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _copy(source: IO[bytes], target: IO[bytes] | None) -> str:
    digest = hashlib.sha256()
    reported = time.monotonic()
    done = 0
    while block := source.read(_BLOCK):
        digest.update(block)
        if target is not None:
            try:
                target.write(block)
            except BrokenPipeError:
                # tar has said why; what follows is read all the same, for its hash.
                target = None
        done += len(block)
        if time.monotonic() - reported > _REPORT_SECONDS:
            reported = time.monotonic()
            say(f"unpacking: {done >> 20} MB so far")
    return digest.hexdigest()


def _compare(bundle: Path, member: Member, digest: str) -> None:
    if digest != member.sha256:
        raise BuilderError(
            f"{bundle}: {member.name} has the SHA-256 {digest}; expected {member.sha256}. "
            "The file is torn or was changed: copy it once more."
        )


def sha256(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
