"""Writes a report about an image: one file of HTML.

The exit code is 0 when it is written, 1 when it is and an entry of the ignore file has expired, 2
where it could not be: no file is written then.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rules.diff.error import UnreadableError
from rules.report import changes, contents, origin, page
from rules.report.error import ReportError
from rules.report.page import Report
from rules.scan import advisories, packages, scan
from rules.scan.error import ScanError
from tools.signals.termination import terminable

WRITTEN, EXPIRED, UNKNOWN = 0, 1, 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="file to write")
    parser.add_argument(
        "--advisories",
        type=Path,
        action="append",
        default=[],
        metavar="PLACE",
        help="folder, zip or file of advisories in OSV's format; without one none are looked at",
    )
    parser.add_argument(
        "--max-age",
        type=advisories.days,
        default=14,
        metavar="DAYS",
        help="how old advisories may be",
    )
    parser.add_argument("--ignore", type=Path, metavar="FILE", help="TOML of what does not count")
    parser.add_argument(
        "--against",
        metavar="IMAGE",
        help="older image to compare with: folder of a layout, archive, or reference",
    )
    parser.add_argument("--insecure", action="store_true", help="registries may speak plain HTTP")
    parser.add_argument("--crane", help=argparse.SUPPRESS)
    parser.add_argument("--name", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--index", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--provenance", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument(
        "--sbom", nargs=2, action="append", required=True, metavar=("CPU", "FILE"),
        help=argparse.SUPPRESS,
    )  # fmt: skip
    parser.add_argument("--now", type=datetime.fromisoformat, help=argparse.SUPPRESS)
    return parser


@terminable()
def main(arguments: Sequence[str]) -> int:
    """Writes what the arguments name and returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.ignore and not options.advisories:
        _parser().error("--ignore is about advisories: name them with --advisories")
    # `bazel run` starts programs elsewhere, and says where the person is.
    base = Path(os.environ.get("BUILD_WORKING_DIRECTORY") or Path.cwd())
    try:
        report = _report(options, base)
        _write(base / options.output, page.html(report))
    except (ReportError, ScanError, UnreadableError, OSError) as error:
        print(f"ERROR: no report was written: {error}", file=sys.stderr)
        return UNKNOWN
    expired = report.scan.expired if report.scan else ()
    for each in expired:
        print(
            f"ERROR: {options.ignore}: {each.identifier} for {each.package} was to be looked at "
            f"again by {each.expires}: {each.reason}",
            file=sys.stderr,
        )
    return EXPIRED if expired else WRITTEN


def _report(options: argparse.Namespace, base: Path) -> Report:
    sboms = {cpu: Path(file) for cpu, file in options.sbom}
    digest, images = contents.read(options.index, sboms)
    now = options.now or datetime.now(UTC)
    known = None
    if options.advisories:
        places = [base / place for place in options.advisories]
        known = advisories.read(places, now, timedelta(days=options.max_age))
    ignore = base / options.ignore if options.ignore else None
    return Report(
        name=options.name,
        digest=digest,
        images=images,
        origin=origin.read(options.provenance, digest),
        scan=scan.scan(options.name, packages.read(sboms.values()), known, ignore, now)
        if known
        else None,
        changes=changes.read(
            options.index,
            options.against,
            name=options.name,
            base=base,
            advisories=known.advisories if known else (),
            crane=options.crane,
            insecure=options.insecure,
        )
        if options.against
        else None,
    )


def _write(file: Path, text: str) -> None:
    beside = file.with_name(f"{file.name}.partial")
    try:
        # Names of files in other images are bytes, of whatever encoding.
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
