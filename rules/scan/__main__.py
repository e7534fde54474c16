"""Holds the SBOM of an image against advisories in OSV's format.

The exit code is 0 where nothing counts, 1 where something does, 2 where that cannot be said.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rules.scan import advisories, packages, rendering, scan
from rules.scan.advisories import Collection
from rules.scan.error import ScanError
from rules.scan.findings import FIXABLE, THRESHOLDS
from rules.scan.packages import Contents
from rules.scan.versions import compare
from rules.update import locks
from rules.update.error import RefusedError
from tools.signals.termination import terminable
from tools.terminal.result import show

CLEAN, FOUND, UNKNOWN = 0, 1, 2
_OSV = "https://osv-vulnerabilities.storage.googleapis.com"
_RENDERINGS = {"table": rendering.table, "json": rendering.as_json, "sarif": rendering.sarif}
# Each is given the SBOM of the first image in the way it takes one.
_SCANNERS = {
    "grype": ["grype", "sbom:{sbom}"],
    "osv-scanner": ["osv-scanner", "scan", "source", "--lockfile", "spdx-json:{sbom}"],
    "trivy": ["trivy", "sbom", "{sbom}"],
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--advisories",
        type=Path,
        action="append",
        default=[],
        metavar="PLACE",
        help="folder, zip or file of advisories; without one they are fetched from OSV",
    )
    parser.add_argument("--osv", default=_OSV, metavar="URL", help="where OSV's export is")
    parser.add_argument(
        "--max-age",
        type=advisories.days,
        default=14,
        metavar="DAYS",
        help="how old advisories may be",
    )
    parser.add_argument(
        "--newer",
        action="store_true",
        help="ask Debian's suites and the index for newer versions too; needs the checkout",
    )
    parser.add_argument("--ignore", type=Path, metavar="FILE", help="TOML of what does not count")
    parser.add_argument("--vex", type=Path, metavar="FILE", help="write what is ignored as OpenVEX")
    parser.add_argument("--format", choices=_RENDERINGS, default="table")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the result there")
    parser.add_argument(
        "--fail-on",
        choices=THRESHOLDS,
        default=FIXABLE,
        help="what counts: a fix exists (the default), anything, or a severity and above",
    )
    parser.add_argument(
        "--with",
        dest="scanner",
        choices=sorted(_SCANNERS),
        help="hand the SBOM to this scanner instead; what follows -- goes to it",
    )
    parser.add_argument("--sbom", type=Path, action="append", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--name", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--now", type=datetime.fromisoformat, help=argparse.SUPPRESS)
    return parser


@terminable()
def main(arguments: Sequence[str]) -> int:
    """Scans what the arguments name and returns the exit code."""
    options, rest = _parser().parse_known_args(arguments)
    if rest and not options.scanner:
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    base = Path(os.environ.get("BUILD_WORKING_DIRECTORY") or Path.cwd())
    try:
        if options.scanner:
            return _other(options.scanner, options.sbom[0].absolute(), rest, base)
        return _scan(options, base)
    except (ScanError, OSError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return UNKNOWN


def _scan(options: argparse.Namespace, base: Path) -> int:
    now = options.now or datetime.now(UTC)
    contents = packages.read(options.sbom)
    ignored = base / options.ignore if options.ignore else None
    found = scan.scan(
        options.name, contents, _collection(options, base, contents, now), ignored, now
    )
    if options.newer:
        found = replace(found, newer=_newer(contents))
    text = _RENDERINGS[options.format](found)
    if options.vex:
        _write(base / options.vex, rendering.openvex(found))
    if options.output:
        _write(base / options.output, text)
    else:
        show(text)
    for each in found.expired:
        print(
            f"ERROR: {options.ignore}: {each.identifier} for {each.package} was to be looked at "
            f"again by {each.expires}: {each.reason}",
            file=sys.stderr,
        )
    counting = [each for each in found.findings if each.counts(options.fail_on)]
    return FOUND if counting or found.expired else CLEAN


def _collection(
    options: argparse.Namespace, base: Path, contents: Contents, now: datetime
) -> Collection:
    oldest = timedelta(days=options.max_age)
    if options.advisories:
        return advisories.read([base / place for place in options.advisories], now, oldest)
    releases = {each.release for each in contents.packages if each.ecosystem == "Debian"}
    ecosystems = [f"Debian:{each}" if each else "Debian" for each in sorted(releases)]
    with tempfile.TemporaryDirectory(prefix="advisories-") as folder:
        fetched = advisories.fetch(options.osv, [*ecosystems, "PyPI"], Path(folder))
        return advisories.read(fetched, now, oldest)


def _newer(contents: Contents) -> list[tuple[str, str, str]]:
    """Packages of the image for which there is a newer version: name, this one, that one."""
    try:
        resolved = locks.resolve(locks.workspace(), ("image", "."))
    except RefusedError as error:
        raise ScanError(f"newer versions are not known: {error}") from None
    offered = {
        (change.ecosystem, change.name): change.new for lock in resolved for change in lock.changes
    }
    return [
        (package.name, package.version, new)
        for package in contents.packages
        if (new := offered.get((package.ecosystem, package.name)))
        and compare(package.ecosystem, new, package.version) > 0
    ]


def _write(file: Path, text: str) -> None:
    beside = file.with_name(f"{file.name}.partial")
    try:
        beside.write_text(text)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def _other(name: str, sbom: Path, rest: Sequence[str], folder: Path) -> int:
    program, *words = (word.format(sbom=sbom) for word in _SCANNERS[name])
    if not shutil.which(program):
        raise ScanError(f"{program} is not in PATH: install it, or leave out --with")
    return subprocess.run([program, *words, *rest], cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
