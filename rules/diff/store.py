"""Where the blobs of an image come from: a layout, an archive, a registry.

Everything is checked against its digest when it is read (OCI image-spec 1.1, descriptor.md).
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from rules.diff.error import UnreadableError

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_REPOSITORY = re.compile(
    r"([\w.-]+(:\d+)?|\[[0-9a-f:]+\](:\d+)?)(/[\w.-]+)+(:[\w.-]+)?(@sha256:[0-9a-f]{64})?"
)


class Own(dict[str, Any]):
    """A descriptor of ours, of a document that has a file already; no image can name that file."""

    def __init__(self, media_type: str, file: Path) -> None:
        content = file.read_bytes()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        super().__init__(mediaType=media_type, digest=digest, size=len(content))
        self.file = file


class Store(Protocol):
    """A place with blobs; `name` is what the person called it, `remote` whether it is far away."""

    name: str
    remote: bool

    def root(self) -> Mapping[str, Any]:
        """The descriptor of the topmost document."""

    def file(self, digest: str) -> Path:
        """A file with the blob's bytes; raises `UnreadableError` where there is none."""


class Layout:
    """An OCI image layout in a folder (image-layout.md)."""

    remote = False

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder
        version = _document(name, folder / "oci-layout").get("imageLayoutVersion")
        if version != "1.0.0":
            raise UnreadableError(
                f"{name}: oci-layout: expected imageLayoutVersion 1.0.0, got {version}"
            )

    def root(self) -> Mapping[str, Any]:
        """The one descriptor of index.json; of several, index.json itself."""
        path = self._folder / "index.json"
        index = _document(self.name, path)
        manifests = index.get("manifests")
        if not isinstance(manifests, list) or not manifests:
            raise UnreadableError(f"{self.name}: index.json names no image: manifests is empty")
        if len(manifests) == 1:
            descriptor: Mapping[str, Any] = manifests[0]
            return descriptor
        return Own("application/vnd.oci.image.index.v1+json", path)

    def file(self, digest: str) -> Path:
        """The blob's file."""
        algorithm, _, encoded = digest.partition(":")
        path = self._folder / "blobs" / algorithm / encoded
        if not path.is_file():
            raise UnreadableError(
                f"{self.name}: blob {digest} is missing: there is no file {path}. "
                "The layout is not whole: copy or build it again"
            )
        return path


class DockerArchive:
    """What `docker save` wrote, unpacked into a folder: manifest.json names config and layers.

    Such an archive has no manifest of the image-spec, so its root is a document of ours.
    """

    remote = False

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._files: dict[str, Path] = {}
        entries = json.loads(_text(name, folder / "manifest.json"))
        if not isinstance(entries, list) or len(entries) != 1:
            count = len(entries) if isinstance(entries, list) else 0
            raise UnreadableError(f"{name}: expected one image in manifest.json, got {count}")
        try:
            config = self._blob(folder, entries[0]["Config"])
            layers = [self._blob(folder, layer) for layer in entries[0]["Layers"]]
        except (KeyError, TypeError) as error:
            raise UnreadableError(f"{name}: manifest.json has no {error}") from error
        manifest = {"schemaVersion": 2, "config": config, "layers": layers}
        self._manifest = folder / "manifest.image-spec.json"
        self._manifest.write_text(json.dumps(manifest))

    def _blob(self, folder: Path, member: str) -> Mapping[str, Any]:
        path = (folder / member).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            raise UnreadableError(f"{self.name}: manifest.json names {member}, which is missing")
        digest = f"sha256:{_hash(path, 'sha256')}"
        encoded = re.search(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", member)
        # `docker save` names the config by its digest, later versions every blob.
        named = "blobs/sha256/" in member or member == f"{encoded and encoded[0]}.json"
        if encoded and named and digest != f"sha256:{encoded[0]}":
            raise UnreadableError(f"{self.name}: {member} is torn: its content has {digest}")
        self._files[digest] = path
        return {"digest": digest, "size": path.stat().st_size}

    def root(self) -> Mapping[str, Any]:
        """The document that stands in for a manifest."""
        return Own("docker-archive", self._manifest)

    def file(self, digest: str) -> Path:
        """The blob's file."""
        return self._files[digest]


class Registry:
    """A registry, read by crane, which knows the person's credentials and helpers.

    Raises `UnreadableError` with what crane said.
    """

    remote = True

    def __init__(self, name: str, folder: Path, crane: str | None, *, insecure: bool) -> None:
        self.name = name
        self._folder = folder
        self._flags = ["--insecure"] if insecure else []
        found = crane if crane and Path(crane).is_file() else shutil.which("crane")
        if found is None:
            raise UnreadableError(
                f"{name}: crane, which reads registries, is missing. On Debian: apt-get install "
                "crane. Or copy the image into a layout and name its folder"
            )
        self._crane = found
        base, _, _ = name.partition("@")
        head, colon, tag = base.rpartition(":")
        self._repository = head if colon and "/" not in tag else base
        # Digests that an index names as manifests: a registry has them apart from the blobs.
        self._manifests: set[str] = set()

    def root(self) -> Mapping[str, Any]:
        """The descriptor of what the reference names."""
        path = self._folder / "root"
        self._call(["manifest", self.name], path)
        value = _object(self.name, path.read_bytes())
        found = Own(value.get("mediaType", ""), path)
        _, _, wanted = self.name.partition("@")
        if wanted and wanted != found["digest"]:
            raise UnreadableError(f"{self.name}: the registry answered with {found['digest']}")
        self._note(value)
        return found

    def file(self, digest: str) -> Path:
        """The blob, or what an index names as a manifest, in a file."""
        path = self._folder / digest.replace(":", "-")
        if not path.exists():
            kind = "manifest" if digest in self._manifests else "blob"
            self._call([kind, f"{self._repository}@{digest}"], path)
            if kind == "manifest":
                with suppress(UnreadableError):
                    self._note(_object(self.name, path.read_bytes()))
        return path

    def _note(self, document: Mapping[str, Any]) -> None:
        named = document.get("manifests")
        for each in named if isinstance(named, list) else []:
            if isinstance(each, dict):
                self._manifests.add(str(each.get("digest")))

    def _call(self, arguments: list[str], output: Path) -> None:
        beside = output.with_suffix(".partial")
        with beside.open("wb") as out:
            done = subprocess.run(
                [self._crane, *self._flags, *arguments],
                stdout=out,
                stderr=subprocess.PIPE,
                check=False,
            )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise UnreadableError(f"{self.name}: {advice(said[-1] if said else 'crane failed')}")
        beside.rename(output)


# What crane says, beside references that may hold any digits and words: its connection's errors
# first, then the registry's codes and statuses as go-containerregistry words them.
_ADVICE = (
    (
        r"connect: connection refused|no such host|i/o timeout|no route to host|is unreachable",
        "the registry is down",
    ),
    (r"x509: |tls: ", "its certificate is not trusted; SSL_CERT_FILE names what is"),
    (r"server gave HTTP response to HTTPS", "it speaks plain HTTP; --insecure allows that"),
    (
        r"MANIFEST_UNKNOWN|NAME_UNKNOWN|status code 404\b",
        "there is no such image; look at the name and the tag",
    ),
    (
        r"UNAUTHORIZED|DENIED|status code 40[13]\b",
        "the registry refuses; log in with docker, podman or crane",
    ),
)


def advice(said: str) -> str:
    """What crane said, after what it means for the person."""
    for pattern, meaning in _ADVICE:
        if re.search(pattern, said):
            return f"{meaning} ({said})"
    return said


def open_store(name: str, base: Path, scratch: Path, *, crane: str | None, insecure: bool) -> Store:
    """The store that a word names: a folder, a file, or a reference.

    Paths are relative to `base`; what has to be unpacked or fetched goes below `scratch`. Raises
    `UnreadableError` where the word names nothing that is an image.
    """
    scratch.mkdir(parents=True)
    path = base / name
    if path.is_dir():
        return _folder(name, path)
    if path.is_file():
        _unpack(name, path, scratch)
        return _archive(name, scratch)
    if name.startswith(("/", "./", "../", "~")) or not _REPOSITORY.fullmatch(name):
        raise UnreadableError(
            f"{name}: expected the folder of an OCI layout, an archive, or a reference such as "
            "REGISTRY/NAME:TAG; there is no such file, and it is no reference"
        )
    return Registry(name, scratch, crane, insecure=insecure)


def _folder(name: str, path: Path) -> Store:
    if (path / "oci-layout").is_file():
        return Layout(name, path)
    # What a build of ours leaves: the folder of the target's package.
    found = [each.parent for each in sorted(path.glob("*/oci-layout"))]
    hint = f"; {found[0]} is one" if found else ""
    raise UnreadableError(f"{name}: expected an OCI image layout: it has no file oci-layout{hint}")


def _archive(name: str, folder: Path) -> Store:
    # Docker 25 and later write both; the layout says more.
    if (folder / "oci-layout").is_file() and (folder / "index.json").is_file():
        return Layout(name, folder)
    if (folder / "manifest.json").is_file():
        return DockerArchive(name, folder)
    raise UnreadableError(
        f"{name}: expected an archive of an image: it has neither index.json (OCI) nor "
        "manifest.json (docker save)"
    )


def _unpack(name: str, path: Path, folder: Path) -> None:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() or member.isdir() or member.issym() or member.islnk():
                    archive.extract(member, folder, filter="data")
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise UnreadableError(
            f"{name}: expected an archive of an image (tar, tar.gz): {error}"
        ) from error


def verified(store: Store, descriptor: Mapping[str, Any]) -> Path:
    """The file of a blob whose size and digest are what its descriptor says.

    Raises `UnreadableError` where they are not.
    """
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise UnreadableError(f"{store.name}: expected a digest sha256:..., got {digest!r}")
    path = descriptor.file if isinstance(descriptor, Own) else store.file(digest)
    size = path.stat().st_size
    if size != descriptor.get("size", size):
        raise UnreadableError(
            f"{store.name}: blob {digest} is torn: expected {descriptor['size']} bytes, got {size}"
        )
    algorithm, _, encoded = digest.partition(":")
    actual = _hash(path, algorithm)
    if actual != encoded:
        raise UnreadableError(
            f"{store.name}: blob {digest} is torn: its content has the digest {algorithm}:{actual}"
        )
    return path


def _hash(path: Path, algorithm: str) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, algorithm).hexdigest()


def _text(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"{name}: {path.name}: {os.strerror(error.errno or 0)}") from error


def _document(name: str, path: Path) -> Mapping[str, Any]:
    return _object(f"{name}: {path.name}", _text(name, path))


def _object(name: str, content: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(content)
    except ValueError as error:
        raise UnreadableError(f"{name}: expected JSON: {error}") from error
    if not isinstance(value, dict):
        raise UnreadableError(f"{name}: expected a JSON object, got {type(value).__name__}")
    return value
