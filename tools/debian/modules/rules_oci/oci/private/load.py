"""Hands an image layout to the person's container engine, as an archive that it can load."""

import argparse
import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

_ENGINES = ("docker", "podman", "nerdctl")
_INDEXES = frozenset(
    {
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.index.v1+json",
    }
)
# Seconds for a daemon to say its version.
_PATIENCE = 20
_REFERENCE = "org.opencontainers.image.ref.name"

# A name in the archive, with the file or bytes that stand there.
Member = tuple[str, Path | bytes]


class LoadError(Exception):
    """An image that cannot be loaded; the message is for the person who ordered it."""


def members(image: Path, archive_format: str, tags: Sequence[str]) -> Iterator[Member]:
    """What an archive of the image holds, in order.

    `archive_format` is "docker" (the format of `docker save`, for one image) or "oci" (a layout,
    for an index of images). Raises LoadError for an image that the format cannot hold.
    """
    descriptor = json.loads((image / "index.json").read_text())["manifests"][0]
    is_index = descriptor["mediaType"] in _INDEXES
    if archive_format == "docker":
        if is_index:
            raise LoadError('an index of images needs format = "oci"')
        return _docker(image, descriptor, tags)
    if not is_index:
        raise LoadError('format = "oci" is for an index of images; one image needs "docker"')
    return _oci(image, descriptor, tags)


def write(stream: IO[bytes], content: Iterable[Member]) -> None:
    """Writes a tar archive that depends on nothing but `content`."""
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.USTAR_FORMAT) as archive:
        for name, source in content:
            entry = tarfile.TarInfo(name)
            entry.mode = 0o644
            if isinstance(source, bytes):
                entry.size = len(source)
                archive.addfile(entry, io.BytesIO(source))
            else:
                entry.size = source.stat().st_size
                with source.open("rb") as file:
                    archive.addfile(entry, file)


def engine(loader: str | None) -> str:
    """The program to load with: `loader`, or the first engine on PATH that answers.

    A client is there more often than its daemon is. Raises LoadError.
    """
    if loader:
        return loader
    silent = []
    for name in _ENGINES:
        found = shutil.which(name)
        if found and (complaint := _complaint(found)):
            silent.append(f"{name} does not answer: {complaint}")
        elif found:
            for line in silent:
                print(f"{_sentence(line)} Loading with {name}", file=sys.stderr)
            return found
    if silent:
        raise LoadError(
            f"{_sentence('; '.join(silent))} Start it, point its client to one that runs "
            "(DOCKER_HOST), or name a program in the target's attribute loader"
        )
    raise LoadError(
        f"none of {', '.join(_ENGINES)} is on PATH. Install one (apt-get install podman), or name "
        "a program in the target's attribute loader"
    )


def _sentence(text: str) -> str:
    """The text with an end; a client's question has its own."""
    return text if text.endswith("?") else f"{text}."


def _complaint(program: str) -> str:
    """What is wrong where a client gets no answer; nothing where it gets one.

    `version` is the one command that each of them has and that asks the daemon.
    """
    try:
        done = subprocess.run(
            [program, "version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return f"nothing in {_PATIENCE} s"
    if done.returncode == 0:
        return ""
    said = done.stderr.strip().splitlines()
    return said[-1].rstrip(".") if said else f"exit code {done.returncode}"


def load(program: str, content: Iterable[Member]) -> int:
    """Streams the archive into `PROGRAM load`; returns its exit code."""
    process = subprocess.Popen([program, "load"], stdin=subprocess.PIPE)
    assert process.stdin is not None
    try:
        with process.stdin as stream:
            write(stream, content)
    except BrokenPipeError:
        # The engine gave up and says why; its exit code tells the rest.
        return process.wait() or 1
    return process.wait()


def _docker(image: Path, descriptor: dict[str, Any], tags: Sequence[str]) -> Iterator[Member]:
    manifest = json.loads(_blob(image, descriptor).read_text())
    config = _name(manifest["config"])
    yield config, _blob(image, manifest["config"])
    layers = {f"{_name(layer)}.tar.gz": _blob(image, layer) for layer in manifest["layers"]}
    yield from layers.items()
    listed = [f"{_name(layer)}.tar.gz" for layer in manifest["layers"]]
    entry = {"Config": config, "RepoTags": list(tags), "Layers": listed}
    yield "manifest.json", json.dumps([entry]).encode()


def _oci(image: Path, descriptor: dict[str, Any], tags: Sequence[str]) -> Iterator[Member]:
    yield "oci-layout", image / "oci-layout"
    index = json.loads(_blob(image, descriptor).read_text())
    blobs = {_name(descriptor): _blob(image, descriptor)}
    for entry in index["manifests"]:
        manifest = json.loads(_blob(image, entry).read_text())
        for part in (entry, manifest["config"], *manifest["layers"]):
            blobs[_name(part)] = _blob(image, part)
    yield from blobs.items()
    named = [descriptor | {"annotations": {_REFERENCE: tag}} for tag in tags]
    content = {"schemaVersion": 2, "manifests": named or [descriptor]}
    yield "index.json", json.dumps(content).encode()


def _name(descriptor: dict[str, Any]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _blob(image: Path, descriptor: dict[str, Any]) -> Path:
    return image / _name(descriptor)


def _write_archive(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("image", "repo-tags", "format", "output"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args(arguments)
    tags = Path(options.repo_tags).read_text().split()
    content = members(Path(options.image), options.format, tags)
    with Path(options.output).open("wb") as stream:
        write(stream, content)
    return 0


def _load_as_set(arguments: Sequence[str]) -> int:
    if arguments[2:]:
        raise LoadError(f"expected no arguments, got {' '.join(arguments[2:])}")
    runfiles = Path(arguments[0])
    settings: dict[str, str] = json.loads((runfiles / arguments[1]).read_text())
    loader = settings.get("loader")
    program = engine(str(runfiles / loader) if loader else None)
    tags = (runfiles / settings["repo_tags"]).read_text().split()
    return load(program, members(runfiles / settings["image"], settings["format"], tags))


def main(arguments: Sequence[str]) -> int:
    """Writes an archive (--output=FILE ...), or loads one as a target says (RUNFILES SETTINGS)."""
    try:
        if arguments[0].startswith("--"):
            return _write_archive(arguments)
        return _load_as_set(arguments)
    except LoadError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
