"""Says how an image came to be: an in-toto statement with SLSA provenance, unsigned.

Arguments stand one a line in a file named @FILE.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rules.layout.layout import Layout
from rules.provenance import statement
from rules.provenance.statement import Resource, resource

BUILD = "urn:bazel:build:v1"
_REVISION = "org.opencontainers.image.revision"
_SOURCE = "org.opencontainers.image.source"
# Of package URLs, those whose packages were put into the image as an archive each.
_ARCHIVES = ("pkg:deb/", "pkg:pypi/")


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="provenance", description=__doc__, fromfile_prefix_chars="@", allow_abbrev=False
    )
    parser.add_argument("--index", type=Path, required=True, help="OCI layout of an index")
    parser.add_argument("--name", required=True, help="the service's name")
    parser.add_argument("--target", required=True, help="label of the index")
    parser.add_argument("--sbom", type=Path, action="append", default=[], help="SPDX of an image")
    parser.add_argument("--other", type=Path, action="append", default=[], help="another byproduct")
    parser.add_argument(
        "--lock", nargs=2, action="append", default=[], metavar=("PATH", "FILE"), help="a lock"
    )
    parser.add_argument("--bazel", type=Path, required=True, help="file of Bazel's version")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    return parser


def provenance(options: argparse.Namespace) -> Mapping[str, object]:
    """The statement for what the arguments name."""
    layout = Layout(options.index)
    images = layout.images()
    # A release says its origin in all of its images.
    labels = layout.config(next(iter(images.values())))["config"].get("Labels") or {}
    revision = labels.get(_REVISION, "")
    subjects = [resource(options.name, layout.digest)]
    subjects += [resource(f"{options.name}-{cpu}", digest) for cpu, digest in images.items()]
    sources = [resource("sources", f"gitCommit:{revision}", labels.get(_SOURCE, ""))]
    locks = [resource(path, _sha256(Path(file))) for path, file in options.lock]
    documents = [json.loads(sbom.read_bytes()) for sbom in options.sbom]
    return statement.provenance(
        subjects=subjects,
        build_type=BUILD,
        target=options.target,
        options=["--config=release"] if revision else [],
        dependencies=[*(sources if revision else []), *locks, *materials(documents)],
        builder={"id": BUILD, "version": {"bazel": options.bazel.read_text().strip()}},
        byproducts=[resource(file.name, _sha256(file)) for file in (*options.sbom, *options.other)],
    )


def materials(documents: Iterable[Any]) -> list[Resource]:
    """Every archive that some SPDX documents name, by package URL, each once."""
    found = dict(item for document in documents for item in _archives(document))
    return [resource(name, digest, purl) for (purl, name), digest in sorted(found.items())]


def _archives(document: Any) -> Iterator[tuple[tuple[str, str], str]]:
    contained = {
        relation["relatedSpdxElement"]
        for relation in document["relationships"]
        if relation["relationshipType"] == "CONTAINS"
        and relation["spdxElementId"] == "SPDXRef-Image"
    }
    for package in document["packages"]:
        if package["SPDXID"] not in contained:
            continue
        for reference in package.get("externalRefs", []):
            purl = reference["referenceLocator"]
            if purl.startswith(_ARCHIVES):
                (checksum,) = package["checksums"]
                # A wheel's URL is the same for each CPU, its archive is not.
                name = f"{package['name']}-{checksum['checksumValue'][:12]}"
                yield (purl, name), f"sha256:{checksum['checksumValue']}"


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return f"sha256:{hashlib.file_digest(handle, 'sha256').hexdigest()}"


def main() -> int:
    """Writes the statement."""
    options = _arguments().parse_args()
    options.output.write_text(statement.text(provenance(options)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
