"""Describes an image of one platform: SPDX 2.3 and CycloneDX 1.6, both JSON.

Arguments stand one a line in a file named @FILE.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

from spdx_tools.spdx.writer.json import json_writer

from rules.layout.layout import Layout
from rules.sbom import cyclonedx, debs, inventory, spdx, wheels
from rules.sbom.error import SbomError
from rules.sbom.inventory import SOURCES, ImageFile, Inventory, Package
from rules.sbom.licenses import License
from rules.sbom.wheels import Wheel
from tools.locks.error import LockError

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_LABEL = "org.opencontainers.image."


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sbom", description=__doc__, fromfile_prefix_chars="@", allow_abbrev=False
    )
    parser.add_argument("--image", type=Path, required=True, help="OCI layout of one image")
    parser.add_argument("--service", type=Path, required=True, help="the service's definition")
    parser.add_argument("--python", required=True, help="MAJOR.MINOR of the image's Python")
    parser.add_argument("--lock", type=Path, required=True, help="the lock of wheels")
    parser.add_argument(
        "--layer", nargs=2, type=Path, action="append", default=[], metavar=("ARCHIVE", "CONTENTS")
    )
    parser.add_argument("--deb", type=Path, action="append", default=[])
    parser.add_argument(
        "--wheel", nargs=3, action="append", default=[], metavar=("NAME", "VERSION", "HASH")
    )
    parser.add_argument(
        "--metadata", nargs=2, action="append", default=[], metavar=("NAME", "FILE")
    )
    parser.add_argument("--spdx", type=Path, required=True, help="file to write")
    parser.add_argument("--cyclonedx", type=Path, required=True, help="file to write")
    return parser


def described(options: argparse.Namespace) -> Inventory:
    """The inventory of what the arguments name; raises `SbomError`."""
    layout = Layout(options.image)
    config = layout.config(layout.digest)
    service = json.loads(options.service.read_text())
    architecture = config["architecture"]
    files, others = inventory.files(options.layer)
    packages = [
        *debs.read(options.deb),
        *wheels.read(
            _wheels(options),
            options.lock,
            options.lock.name,
            options.python,
            _MACHINES[architecture],
        ),
    ]
    labels = config["config"].get("Labels") or {}
    own = [file for file in files if file.owner == SOURCES]
    if own:
        packages.append(_sources(service["service"], labels, own, packages))
    inventory.check(packages, files, others)
    return Inventory(
        name=service["service"],
        digest=layout.digest,
        architecture=architecture,
        created=config["created"],
        labels=labels,
        packages=tuple(packages),
        files=tuple(files),
    )


def _wheels(options: argparse.Namespace) -> list[Wheel]:
    metadata: dict[str, dict[str, Path]] = {}
    for name, file in options.metadata:
        below = file.rpartition(".dist-info/")[2]
        metadata.setdefault(name, {})[below] = Path(file)
    return [
        Wheel(name, version, known, metadata.get(name, {}))
        for name, version, known in options.wheel
    ]


def _sources(
    service: str, labels: dict[str, str], own: list[ImageFile], packages: list[Package]
) -> Package:
    """This repository's own files; their version is that of a release, else what they hold."""
    needed = {key for package in packages for key in package.depends}
    content = hashlib.sha256("".join(f"{file.sha256} {file.path}\n" for file in own).encode())
    version = labels.get(f"{_LABEL}version") or labels.get(f"{_LABEL}revision")
    return Package(
        key=SOURCES,
        name=service,
        version=version or f"sha256:{content.hexdigest()}",
        purl="",
        sha256="",
        license=License(labels.get(f"{_LABEL}licenses", "")),
        supplier=labels.get(f"{_LABEL}vendor", service),
        homepage=labels.get(f"{_LABEL}source", ""),
        summary=labels.get(f"{_LABEL}description", ""),
        depends=tuple(
            sorted(
                package.key
                for package in packages
                if package.purl.startswith("pkg:pypi/") and package.key not in needed
            )
        ),
    )


def main() -> int:
    """Writes both documents; exits with 1 and a reason where the image cannot be described."""
    options = _arguments().parse_args()
    try:
        found = described(options)
    except (SbomError, LockError) as error:
        print(f"{options.image}: {error}", file=sys.stderr)
        return 1
    # What is written is held against the formats by tests, which take longer than writing it.
    json_writer.write_document_to_file(spdx.document(found), str(options.spdx), validate=False)
    options.cyclonedx.write_text(cyclonedx.text(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
