"""Says why two images differ: OCI layouts, archives (OCI, docker save), registry references.

The exit code is 0 where they are the same, 1 where they differ, 2 where one cannot be read.
"""

import argparse
import errno
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rules.diff import rendering
from rules.diff.compare import Comparison, no_deep
from rules.diff.difference import Report
from rules.diff.diffoscope import Diffoscope
from rules.diff.error import UnreadableError
from rules.diff.image import read
from rules.diff.store import open_store
from tools.signals.termination import terminable
from tools.terminal.result import show

SAME, DIFFERENT, UNREADABLE = 0, 1, 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="diff",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("left", metavar="A", help="folder of a layout, archive, or reference")
    parser.add_argument("right", metavar="B", help="the image to compare with it")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write everything as a page")
    parser.add_argument("--all", action="store_true", help="print each difference, count none")
    parser.add_argument("--insecure", action="store_true", help="registries may speak plain HTTP")
    parser.add_argument(
        "--no-diffoscope", action="store_true", help="do not ask diffoscope, even where it is"
    )
    parser.add_argument("--crane", help=argparse.SUPPRESS)
    return parser


def compare(
    left: str,
    right: str,
    *,
    base: Path,
    crane: str | None = None,
    insecure: bool = False,
    diffoscope: bool = False,
) -> Report:
    """Compares two images that words name; raises `UnreadableError`.

    `base` is the folder that paths are relative to. Nothing is left behind.
    """
    with tempfile.TemporaryDirectory(prefix="image-diff-") as scratch:
        nodes = [
            read(open_store(name, base, Path(scratch, side), crane=crane, insecure=insecure))
            for side, name in (("A", left), ("B", right))
        ]
        deep = Diffoscope(scratch) if diffoscope else no_deep
        return Comparison(scratch, deep, _progress).report((left, right), nodes[0], nodes[1])


def _progress(message: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{message}", end="", file=sys.stderr, flush=True)


@terminable()
def main(arguments: Sequence[str]) -> int:
    """Compares what the arguments name, prints the report, and returns the exit code."""
    options = _parser().parse_args(arguments)
    # `bazel run` starts programs elsewhere, and says where the person is.
    base = Path(os.environ.get("BUILD_WORKING_DIRECTORY") or Path.cwd())
    try:
        report = compare(
            options.left,
            options.right,
            base=base,
            crane=options.crane,
            insecure=options.insecure,
            diffoscope=not options.no_diffoscope,
        )
        if options.html:
            page = base / options.html
            beside = page.with_name(f"{page.name}.partial")
            try:
                beside.write_text(rendering.as_html(report), encoding="utf-8")
                beside.replace(page)
            finally:
                beside.unlink(missing_ok=True)
    except UnreadableError as error:
        _progress("")
        print(f"ERROR: {rendering.printable(str(error))}", file=sys.stderr)
        return UNREADABLE
    except OSError as error:
        _progress("")
        full = error.errno == errno.ENOSPC
        hint = f" in {tempfile.gettempdir()}; TMPDIR names another place" if full else ""
        print(f"ERROR: {error}{hint}", file=sys.stderr)
        return UNREADABLE
    _progress("")
    try:
        show(
            rendering.as_json(report)
            if options.json
            else rendering.text(report, everything=options.all)
        )
    except OSError as error:
        print(f"ERROR: the report could not be printed: {error}", file=sys.stderr)
        return UNREADABLE
    return SAME if report.same else DIFFERENT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
