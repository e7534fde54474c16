"""Rebuilds an image from this checkout and compares it with a pushed one, or with a layout.

With a public key, signatures and attestations are demanded as well.

The exit code is 0 where they are the same, 1 where they differ or something is not signed, 2 where
that cannot be said.
"""

import argparse
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rules.diff import rendering
from rules.diff.compare import Comparison, no_deep
from rules.diff.difference import Report
from rules.diff.diffoscope import Diffoscope
from rules.diff.error import UnreadableError
from rules.diff.image import Image, Index, read
from rules.diff.store import open_store
from rules.publish import verification
from rules.publish.cosign import cosign
from rules.publish.error import PublishError
from rules.verify import checkout, statement
from rules.verify.checkout import Sources

SAME, DIFFERENT, UNKNOWN = 0, 1, 2
REVISION = "org.opencontainers.image.revision"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reference", metavar="REF", help="registry reference, layout or archive")
    revision = parser.add_mutually_exclusive_group()
    revision.add_argument("--revision", metavar="COMMIT", help="rebuild this commit, beside")
    revision.add_argument(
        "--stated-revision", action="store_true", help="rebuild the commit that the image states"
    )
    parser.add_argument(
        "--statement", type=Path, metavar="FILE", help="write what was proven (in-toto)"
    )
    parser.add_argument(
        "--key",
        type=Path,
        metavar="FILE",
        help="public key: signatures, SBOMs and provenance are demanded as well",
    )
    parser.add_argument("--cosign", metavar="PROGRAM", help="cosign 3, where it is not in PATH")
    parser.add_argument("--insecure", action="store_true", help="registries may speak plain HTTP")
    parser.add_argument("--built", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--target", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--crane", help=argparse.SUPPRESS)
    return parser


def labels(node: Image | Index) -> Mapping[str, str]:
    """The labels of an image, or of the first image of an index."""
    while isinstance(node, Index):
        if not node.images:
            return {}
        node = next(iter(node.images.values()))
    return (node.config.value.get("config") or {}).get("Labels") or {}


def counterpart(wanted: Image | Index, built: Image | Index) -> Image | Index:
    """What of a rebuilt index is to be compared: the image of the same platform, for an image."""
    if isinstance(wanted, Image) and isinstance(built, Index):
        return built.images.get(wanted.platform, built)
    return built


def main(arguments: Sequence[str]) -> int:
    """Verifies what the arguments name and returns the exit code."""
    options = _parser().parse_args(arguments)
    base = Path(os.environ.get("BUILD_WORKING_DIRECTORY") or Path.cwd())
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY") or Path.cwd())
    try:
        return _verify(options, base, workspace)
    except (UnreadableError, PublishError, OSError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return UNKNOWN


def _verify(options: argparse.Namespace, base: Path, workspace: Path) -> int:
    with tempfile.TemporaryDirectory(prefix="image-verify-") as scratch:
        wanted = read(
            open_store(
                options.reference,
                base,
                Path(scratch, "A"),
                crane=options.crane,
                insecure=options.insecure,
            )
        )
        if options.key and (refused := _refused(options, base, wanted)):
            print(f"Refused: {refused}")
            return DIFFERENT
        stated = labels(wanted).get(REVISION, "")
        if options.stated_revision and not stated:
            raise UnreadableError(
                f"{options.reference} states no revision (label {REVISION}): it is no release. "
                "Name one with --revision"
            )
        revision = options.revision or (stated if options.stated_revision else "")
        # What says its commit was built as a release.
        flags = ["--config=release"] if stated else []
        with _rebuilt(options, workspace, revision, flags) as (layout, sources):
            store = open_store(str(layout), base, Path(scratch, "B"), crane=None, insecure=False)
            built = counterpart(wanted, read(store))
            comparison = Comparison(scratch, Diffoscope(scratch) if revision else no_deep, _quiet)
            report = comparison.report((options.reference, "the rebuild"), wanted, built)
            if options.statement and report.same:
                _write(base / options.statement, report, sources, options.target, flags)
    print(_conclusion(report, sources, labels(built).get(REVISION, ""), stated), end="")
    return SAME if report.same else DIFFERENT


def _refused(options: argparse.Namespace, base: Path, wanted: Image | Index) -> str:
    """Why an image is not trusted by its signatures; "" where it is."""
    repository = re.sub(r"(@.*|:[^/:@]*)$", "", options.reference.partition("@")[0])
    images: dict[str, str] = {}
    if isinstance(wanted, Index):
        digest = wanted.document.digest
        for platform, each in wanted.images.items():
            document = each.document if isinstance(each, Index) else each.manifest
            images[platform] = document.digest
    else:
        digest, images[wanted.platform] = "", wanted.manifest.digest
    key = base / options.key
    if not key.is_file():
        raise UnreadableError(f"{options.key}: no such public key")
    with cosign(options.cosign, insecure=options.insecure) as program:
        try:
            verification.verify(program, repository, digest, images, key)
        except PublishError as error:
            return str(error)
    return ""


@contextmanager
def _rebuilt(
    options: argparse.Namespace, workspace: Path, revision: str, flags: Sequence[str]
) -> Iterator[tuple[Path, Sources]]:
    if not revision:
        # `bazel run` has built it already, from this checkout.
        yield Path(options.built).absolute(), checkout.here(workspace)
        return
    with (
        checkout.beside(workspace, revision) as sources,
        checkout.built(sources, options.target, flags) as layout,
    ):
        yield layout, sources


def _write(path: Path, report: Report, sources: Sources, target: str, flags: Sequence[str]) -> None:
    if not sources.clean:
        raise UnreadableError(
            f"no statement is written: it would name a commit, and this was built of {sources}"
        )
    if not report.left.digest.startswith("sha256:"):
        raise UnreadableError("no statement is written: a docker archive has no digest to name")
    made = statement.statement(report.left.name, report.left.digest, sources, target, flags)
    beside = path.with_name(f"{path.name}.partial")
    beside.write_text(statement.text(made))
    beside.rename(path)


def _conclusion(report: Report, sources: Sources, own: str, stated: str) -> str:
    lines = [rendering.text(report).rstrip()]
    if report.same:
        lines += [
            "",
            f"Verified: {report.left.name} is what these sources build:",
            f"  digest   {report.left.digest}",
            f"  sources  {sources}",
            "Proven: every byte of the image follows from these sources and from what they lock.",
            "Not proven: that the sources, the locked packages and the builder mean well.",
        ]
    elif stated and not own:
        command = shlex.join(["--", "--stated-revision", report.left.name])
        lines += [
            "",
            f"The image is a release of revision {stated}, and the rebuild is none.",
            f"Rebuild that commit as a release: tools/bazel run //image:verify {command}",
        ]
    elif stated and own != stated:
        lines += ["", f"The image states revision {stated}, the rebuild is of {own}."]
    else:
        lines += ["", f"The rebuild is of {sources}. Was the image built from that commit?"]
    return "\n".join([*lines, ""])


def _quiet(message: str) -> None:
    del message


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
