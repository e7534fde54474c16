"""Rebuilds an image from this checkout and compares it with a pushed one, or with a layout.

With a public key, signatures and attestations are demanded as well. With --attest, what was proven
is signed and attached to the pushed image; with --require, nothing is compared: that many builders
have to have done so, each with a key of its own.

The exit code is 0 where they are the same, 1 where they differ or something is not signed, 2 where
that cannot be said.
"""

import argparse
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rules.diff import rendering
from rules.diff.compare import Comparison, no_deep
from rules.diff.difference import Report
from rules.diff.diffoscope import Diffoscope
from rules.diff.error import UnreadableError
from rules.diff.image import Image, Index, read
from rules.diff.store import Registry, Store, open_store
from rules.publish import verification
from rules.publish.cosign import cosign
from rules.publish.error import PublishError
from rules.verify import checkout, rebuilders, statement
from rules.verify.checkout import Sources
from rules.verify.kept import Kept
from tools.signals.termination import terminable
from tools.terminal.result import show

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
        metavar="FILE",
        help="public key: signatures, SBOMs and provenance are demanded as well; with --attest, "
        "the private key, or the URI of a KMS",
    )
    parser.add_argument(
        "--attest", action="store_true", help="sign with --key that the rebuild is the same"
    )
    parser.add_argument(
        "--require",
        type=int,
        metavar="N",
        help="so many of --keys have to have signed the same rebuild",
    )
    parser.add_argument(
        "--keys", metavar="FILE,FILE", help="public keys of builders that do not know each other"
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


@terminable()
def main(arguments: Sequence[str]) -> int:
    """Verifies what the arguments name and returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if fault := _fault(options):
        parser.error(fault)
    base = Path(os.environ.get("BUILD_WORKING_DIRECTORY") or Path.cwd())
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY") or Path.cwd())
    try:
        return _verify(options, base, workspace)
    except (UnreadableError, PublishError, OSError) as error:
        said = "\n".join(map(rendering.printable, str(error).split("\n")))
        print(f"ERROR: {said}", file=sys.stderr)
        return UNKNOWN


def _fault(options: argparse.Namespace) -> str:
    """What is wrong with the options together; "" where nothing is."""
    if (options.require is None) != (options.keys is None):
        return "--require N needs --keys FILE,FILE, and --keys is for --require alone"
    if options.require is not None and (options.key or options.attest or options.statement):
        return "--require counts what others have signed: not together with --key or a rebuild"
    if options.require is not None and options.require < 1:
        return f"--require: expected a number from 1, got {options.require}"
    if options.attest and not options.key:
        return "--attest needs --key FILE or --key URI, the private key of this builder"
    return ""


def _verify(options: argparse.Namespace, base: Path, workspace: Path) -> int:
    with tempfile.TemporaryDirectory(prefix="image-verify-") as scratch:
        store = _opened(options, base, Path(scratch, "A"))
        if (options.attest or options.require) and not isinstance(store, Registry):
            raise UnreadableError(
                f"{options.reference}: expected a reference REGISTRY/NAME:TAG or @DIGEST: what is "
                "signed is kept beside an image in its registry, and this is a file"
            )
        wanted = read(store)
        if options.require:
            return _count(options, base, wanted)
        if options.key and not options.attest and (refused := _refused(options, base, wanted)):
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
        with (
            _signer(options, base) as signer,
            _rebuilt(options, workspace, revision, flags) as (layout, sources),
        ):
            if signer:
                _check_sources(sources)
            store = open_store(str(layout), base, Path(scratch, "B"), crane=None, insecure=False)
            built = counterpart(wanted, read(store))
            comparison = Comparison(scratch, Diffoscope(scratch) if revision else no_deep, _quiet)
            report = comparison.report((options.reference, "the rebuild"), wanted, built)
            if options.statement and report.same:
                _write(base / options.statement, report, sources, options.target, flags)
            if signer and report.same:
                made = _statement(report, sources, options.target, flags)
                _check_unmoved(options, base, wanted)
                attached = signer(f"{_repository(options)}@{report.left.digest}", made)
    show(_conclusion(report, sources, labels(built).get(REVISION, ""), stated))
    if options.attest and report.same:
        print("Attested: signed and attached." if attached else "Attested before, by the same key.")
    elif options.attest:
        print("Not attested: nothing was signed.")
    return SAME if report.same else DIFFERENT


def _opened(options: argparse.Namespace, base: Path, scratch: Path) -> Store:
    return open_store(
        options.reference, base, scratch, crane=options.crane, insecure=options.insecure
    )


def _digest(node: Image | Index) -> str:
    document = node.document if isinstance(node, Index) else node.manifest
    return document.digest


def _check_unmoved(options: argparse.Namespace, base: Path, wanted: Image | Index) -> None:
    """Raises `UnreadableError` where a tag names another image than it did at the start."""
    with tempfile.TemporaryDirectory(prefix="image-verify-") as scratch:
        if (now := _opened(options, base, Path(scratch, "again")).root()["digest"]) != _digest(
            wanted
        ):
            raise UnreadableError(
                f"{options.reference} named {_digest(wanted)} at the start, and names {now} now. "
                f"Nothing was attached. Name the image by its digest: {_repository(options)}@..."
            )


def _crane(options: argparse.Namespace) -> str:
    return options.crane if options.crane and Path(options.crane).is_file() else "crane"


def _refused(options: argparse.Namespace, base: Path, wanted: Image | Index) -> str:
    """Why an image is not trusted by its signatures; "" where it is."""
    repository = _repository(options)
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
    with cosign(options.cosign, insecure=options.insecure, base=base) as program:
        try:
            verification.verify(program, repository, digest, images, key)
        except PublishError as error:
            return str(error)
    return ""


def _repository(options: argparse.Namespace) -> str:
    """The reference without tag and digest."""
    return re.sub(r":[^/:]*$", "", options.reference.partition("@")[0])


def _count(options: argparse.Namespace, base: Path, wanted: Image | Index) -> int:
    """Says which builders agree, and whether they are enough."""
    given = [base / name for name in options.keys.split(",")]
    keys = rebuilders.different(given)
    if options.require > len(keys):
        raise PublishError(
            f"--require {options.require}: expected as many different keys, got {len(keys)}"
        )
    repository, wished = _repository(options), options.revision or labels(wanted).get(REVISION, "")
    with cosign(options.cosign, insecure=options.insecure, base=base) as program:
        kept = Kept(program, _crane(options), insecure=options.insecure)
        found = rebuilders.agreement(kept, repository, _digest(wanted), keys, wished)
    _check_unmoved(options, base, wanted)
    enough = len(found.agreeing) >= options.require
    print(
        f"{'Agreed' if enough else 'Refused'}: {len(found.agreeing)} of {len(keys)} builders have "
        f"rebuilt {repository}, {options.require} required\n"
        f"  digest    {_digest(wanted)}\n"
        f"  revision  {found.revision or 'named by nobody'}"
    )
    for key in keys:
        said = "has signed it" if key in found.agreeing else found.others[key]
        print(f"  {os.path.relpath(key, base)}: {said}")
    return SAME if enough else DIFFERENT


@contextmanager
def _signer(
    options: argparse.Namespace, base: Path
) -> Iterator[Callable[[str, Mapping[str, object]], bool] | None]:
    """What signs; a key that cannot be used is found before anything is built."""
    if not options.attest:
        yield None
        return
    key = options.key if "://" in options.key else str(base / options.key)
    with cosign(options.cosign, insecure=options.insecure, base=base) as program:
        kept = Kept(program, _crane(options), insecure=options.insecure)
        yield partial(rebuilders.attest, kept, key, program.public_key(key))


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


def _check_sources(sources: Sources) -> None:
    if not sources.clean:
        raise UnreadableError(
            f"no statement is written: it would name a commit, and this was built of {sources}"
        )


def _statement(
    report: Report, sources: Sources, target: str, flags: Sequence[str]
) -> Mapping[str, object]:
    _check_sources(sources)
    if not report.left.digest.startswith("sha256:"):
        raise UnreadableError("no statement is written: a docker archive has no digest to name")
    return statement.statement(report.left.name, report.left.digest, sources, target, flags)


def _write(path: Path, report: Report, sources: Sources, target: str, flags: Sequence[str]) -> None:
    made = _statement(report, sources, target, flags)
    beside = path.with_name(f"{path.name}.partial")
    try:
        beside.write_text(statement.text(made))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _conclusion(report: Report, sources: Sources, own: str, stated: str) -> str:
    lines = rendering.text(report).rstrip().split("\n")
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
    return "\n".join([*map(rendering.printable, lines), ""])


def _quiet(message: str) -> None:
    del message


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
