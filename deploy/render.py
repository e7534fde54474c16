"""Renders a kustomize overlay to one file of manifests, with images pinned by their digests."""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy import definition
from deploy.definition import Definition, DefinitionError

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# A registry's host, its path, no tag (distribution/reference's grammar, less what nobody uses).
_REPOSITORY = re.compile(r"[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+")
# Enough of a digest to tell a project's images apart, within the 63 characters of a label.
_SHORT = 12


class RenderError(Exception):
    """The manifests cannot be rendered; the text says what was expected and what came."""


@dataclass(frozen=True)
class Pin:
    """What the manifests call an image, and the image that it is."""

    name: str
    repository: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> "Pin":
        """Reads NAME=REPOSITORY=FILE, FILE holding the digest; raises `RenderError`."""
        name, _, rest = text.partition("=")
        repository, _, file = rest.rpartition("=")
        if not (name and file):
            raise RenderError(f"expected NAME=REPOSITORY=FILE, got {text!r}")
        if not _REPOSITORY.fullmatch(repository):
            raise RenderError(
                f"expected a repository HOST/NAME without tag, such as registry.example/{name}, "
                f"got {repository!r}"
            )
        digest = Path(file).read_text().strip()
        if not _DIGEST.fullmatch(digest):
            raise RenderError(f"{file}: expected sha256: and 64 hex digits, got {digest!r}")
        return cls(name, repository, digest)


def kustomization(resource: str, service: str, pins: Sequence[Pin]) -> dict[str, object]:
    """A kustomization over another one: its images pinned, its migration named after the image.

    A service without a migration has no Job, and nothing to name.
    """
    migration = f"{service}-migrate"
    suffixes = [pin.digest.removeprefix("sha256:")[:_SHORT] for pin in pins[:1]]
    rename = [
        {"op": "replace", "path": "/metadata/name", "value": f"{migration}-{suffix}"}
        for suffix in suffixes
    ]
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [resource],
        "images": [
            {"name": pin.name, "newName": pin.repository, "digest": pin.digest} for pin in pins
        ],
        "patches": [
            {"target": {"kind": "Job", "name": migration}, "patch": json.dumps(rename)},
        ],
    }


def places(texts: Sequence[str]) -> dict[str, Path]:
    """Files by where they go in the folder that is rendered, read from PLACE=FILE.

    Raises `RenderError` where two go to one place.
    """
    found: dict[str, Path] = {}
    for text in texts:
        place, _, file = text.partition("=")
        if place in found:
            raise RenderError(f"kubernetes/{place} is both {found[place]} and {file}; rename one")
        found[place] = Path(file)
    return found


def render(
    kubectl: Path,
    sources: Mapping[str, Path],
    overlay: str,
    service: Definition,
    pins: Sequence[Pin],
) -> str:
    """The manifests of the folder `overlay` of `sources`, filled in, every image of them pinned.

    The first pin is the image that the migration is named after. Raises `RenderError`, and
    `DefinitionError` where a file names what the service's definition has not.
    """
    if f"{overlay}/kustomization.yaml" not in sources:
        known = sorted(place.rpartition("/")[0] for place in sources if "kustomization" in place)
        raise RenderError(f"expected an overlay, one of {', '.join(known)}, got {overlay}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "kubernetes")
        for place, file in sources.items():
            target = folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(definition.filled(file.read_text(), service, str(file)))
        top = folder / "rendered"
        top.mkdir()
        (top / "kustomization.yaml").write_text(
            json.dumps(kustomization(f"../{overlay}", service["service"], pins))
        )
        done = subprocess.run(
            [kubectl, "kustomize", top],
            env={"HOME": scratch, "PATH": os.defpath},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise RenderError(f"kubectl kustomize {overlay}: {done.stderr.strip()}")
    text = done.stdout
    _check(text, pins)
    return text


def _check(text: str, pins: Sequence[Pin]) -> None:
    images = list(_images(text))
    pinned = {f"{pin.repository}@{pin.digest}" for pin in pins}
    if others := sorted(set(images) - pinned):
        raise RenderError(f"expected every image pinned, one of {sorted(pinned)}, got {others}")
    if missing := sorted(pinned - set(images)):
        raise RenderError(f"expected the manifests to use {missing}, got {sorted(set(images))}")


def _images(text: str) -> Iterator[str]:
    for match in re.finditer(r"^\s*(?:- )?image: *(\S+)$", text, re.MULTILINE):
        yield match[1].strip("\"'")


def main() -> int:
    """Writes the file; returns 1, having written none, where that is not possible."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubectl", type=Path, required=True)
    parser.add_argument("--service", type=Path, required=True, help="the definition, JSON")
    parser.add_argument("--overlay", required=True, help="folder among the places of --source")
    parser.add_argument("--source", action="append", default=[], help="PLACE=FILE of the overlays")
    parser.add_argument("--pin", action="append", default=[], help="NAME=REPOSITORY=DIGESTFILE")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        pins = [Pin.parse(text) for text in arguments.pin]
        text = render(
            arguments.kubectl.absolute(),
            places(arguments.source),
            arguments.overlay,
            definition.read(arguments.service),
            pins,
        )
    except (RenderError, DefinitionError) as error:
        print(f"render: {error}", file=sys.stderr)
        return 1
    arguments.output.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
