"""Pushes an index by its digest, signs and describes it where a key is given, then tags it.

Tags are moved last, so that a push that breaks off leaves them on the image they were on.
"""

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rules.layout.layout import Layout
from rules.publish import cosign as programs
from rules.publish import crane
from rules.publish.cosign import CYCLONEDX, PROVENANCE, SPDX, Cosign
from rules.publish.error import PublishError
from rules.publish.signer import Signer
from tools.signals.termination import terminable
from tools.terminal.result import show

# OCI distribution-spec, "Pulling manifests".
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_LOGIN = re.compile(r"[^/@]*:[^/@]*@")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="push",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("-r", "--repository", required=True, metavar="HOST/NAME")
    parser.add_argument("-t", "--tag", action="append", default=[], help="set this tag")
    parser.add_argument("--sign", action="store_true", help="sign, attach SBOMs and provenance")
    parser.add_argument("--key", metavar="FILE", help="private key, or the URI of a KMS")
    parser.add_argument("--cosign", metavar="PROGRAM", help="cosign 3, where it is not in PATH")
    parser.add_argument("--insecure", action="store_true", help="the registry may speak plain HTTP")
    parser.add_argument("--index", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--crane", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--provenance", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--sbom", nargs=3, action="append", default=[], help=argparse.SUPPRESS)
    return parser


@terminable()
def main(arguments: Sequence[str]) -> int:
    """Carries out the order and returns the exit code."""
    options = _parser().parse_args(arguments)
    base = Path(os.environ.get("BUILD_WORKING_DIRECTORY") or Path.cwd())
    try:
        _check(options)
        built = Layout(options.index)
        if options.sign:
            with _signer(options, base) as (cosign, key, public):
                signer = Signer(cosign, key, public, new=_push(options, built))
                _sign(options, built, signer)
        else:
            _push(options, built)
        for tag in options.tag:
            _crane(options, ["tag", f"{options.repository}@{built.digest}", tag])
    except (PublishError, OSError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    reference = f"{options.repository}@{built.digest}"
    try:
        show(f"{reference}\n")
    except OSError as error:
        print(f"ERROR: {reference} is pushed; that could not be printed: {error}", file=sys.stderr)
        return 1
    return 0


def _check(options: argparse.Namespace) -> None:
    """Everything that can be known to be wrong before anything is sent."""
    repository = options.repository
    if "@" in repository or ":" in repository.rpartition("/")[2] or "/" not in repository:
        raise PublishError(
            f"expected a repository HOST/NAME without tag or digest, got "
            f"{_LOGIN.sub('...@', repository)}. "
            "Tags are set by --tag"
        )
    for tag in options.tag:
        if not _TAG.fullmatch(tag):
            raise PublishError(f"expected a tag of letters, digits, '_', '.' and '-', got {tag!r}")
    if bool(options.key) != options.sign:
        raise PublishError("--sign needs --key FILE or --key URI, and --key is for --sign alone")


@contextmanager
def _signer(options: argparse.Namespace, base: Path) -> Iterator[tuple[Cosign, str, Path]]:
    """The program, the key and its public half: a wrong passphrase is found before a push."""
    key = options.key if "://" in options.key else str(base / options.key)
    with programs.cosign(options.cosign, insecure=options.insecure, base=base) as cosign:
        yield cosign, key, cosign.public_key(key)


def _push(options: argparse.Namespace, built: Layout) -> set[str]:
    """Returns the digests of what the registry did not have: nothing can be attached to those."""
    absent: set[str] = set()
    target = f"{options.repository}@{built.digest}"
    _crane(options, ["push", str(options.index), target], absent)
    return absent


def _crane(
    options: argparse.Namespace, arguments: Sequence[str], absent: set[str] | None = None
) -> None:
    command, *more = arguments
    flags = ["--insecure"] if options.insecure else []
    if not crane.run([options.crane, command, *flags, *more], absent):
        raise PublishError(
            f"crane {command} failed for {options.repository}, see above. What was sent stays "
            "there and is not sent again: run the same command once more. No tag was moved"
        )


def _sign(options: argparse.Namespace, built: Layout, signer: Signer) -> None:
    references = {cpu: f"{options.repository}@{digest}" for cpu, digest in built.images().items()}
    index = f"{options.repository}@{built.digest}"
    for reference in (index, *references.values()):
        signer.sign(reference)
    for cpu, spdx, cyclonedx in options.sbom:
        signer.attest(references[cpu], SPDX, Path(spdx))
        signer.attest(references[cpu], CYCLONEDX, Path(cyclonedx))
    with tempfile.TemporaryDirectory(prefix="image-push-") as folder:
        predicate = Path(folder, "provenance.json")
        statement = json.loads(options.provenance.read_bytes())
        predicate.write_text(json.dumps(statement["predicate"]))
        signer.attest(index, PROVENANCE, predicate)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
