"""Brings the locks of Debian packages and wheels up to date, and shows what that changes.

The image is built twice, with the locks as they are and, in a copy of the checkout, with the new
ones; only when that builds are the new locks written. The exit code is 0 when that is done or there
is nothing to do, 1 with --check where something is behind, 2 where it failed: nothing is written.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rules.scan import advisories, findings, packages
from rules.scan.advisories import Collection
from rules.scan.error import ScanError
from rules.update import builds, image, locks, rendering
from rules.update.comparison import Difference, compare
from rules.update.error import RefusedError
from rules.update.locks import Lock
from tools.signals.termination import terminable
from tools.terminal.result import tell

DONE, BEHIND, REFUSED = 0, 1, 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="update", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "packages",
        nargs="*",
        metavar="NAME",
        help="packages and wheels whose versions may change (all where none is named)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--check", action="store_true", help="write and build nothing; 1 if something is behind"
    )
    parser.add_argument(
        "--locks-only",
        action="store_true",
        help="do not build: write what was resolved, and show packages alone",
    )
    parser.add_argument(
        "--only", choices=locks.KINDS, help="leave the locks of the other kind as they are"
    )
    parser.add_argument(
        "--advisories",
        type=Path,
        action="append",
        default=[],
        metavar="PLACE",
        help="folder, zip or file of advisories in OSV's format: say which are fixed",
    )
    parser.add_argument(
        "--max-age",
        type=advisories.days,
        default=14,
        metavar="DAYS",
        help="how old advisories may be",
    )
    parser.add_argument("--package", required=True, help=argparse.SUPPRESS)
    return parser


@terminable()
def main(arguments: Sequence[str]) -> int:
    """Does what the arguments say and returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        workspace = locks.workspace()
        known = _advisories(options)
        resolved = locks.resolve(workspace, only=options.only, named=options.packages)
        moved = [lock for lock in resolved if lock.changes]
        differences: dict[str, Difference] = {}
        if moved and not options.check and not options.locks_only:
            differences = _differences(workspace, options.package, moved, known)
        if not options.check:
            locks.write(workspace, moved)
    except (RefusedError, ScanError, OSError) as error:
        print(f"ERROR: no lock was written: {error}", file=sys.stderr)
        return REFUSED
    if dropped := _dropped(moved, options.packages):
        print(
            f"WARNING: not named, but the archive has dropped what is locked: {', '.join(dropped)}",
            file=sys.stderr,
        )
    render = rendering.as_json if options.json else rendering.table
    tell(render(resolved, differences))
    return BEHIND if options.check and moved else DONE


def _dropped(moved: Sequence[Lock], named: Sequence[str]) -> list[str]:
    """The Debian packages that move though others were named."""
    changes = {change for lock in moved for change in lock.changes if named}
    return sorted({each.name for each in changes if each.ecosystem == "Debian"}.difference(named))


def _advisories(options: argparse.Namespace) -> Collection | None:
    if not options.advisories:
        return None
    base = Path(os.environ.get("BUILD_WORKING_DIRECTORY") or Path.cwd())
    places = [base / place for place in options.advisories]
    return advisories.read(places, datetime.now(UTC), timedelta(days=options.max_age))


def _differences(
    workspace: Path, package: str, moved: Sequence[Lock], known: Collection | None
) -> dict[str, Difference]:
    """What changes, by CPU; raises `RefusedError` where the image does not build anew.

    Nothing is compared where it does not build as it is: a package that is asked for and not yet
    locked is what an update is for.
    """
    try:
        built = builds.build(workspace, package)
    except RefusedError as error:
        print(f"WARNING: nothing to compare with: {error}", file=sys.stderr)
        built = None
    old = image.read(built / "index", builds.sboms(built)) if built else {}
    before = _about(builds.sboms(built), known) if built else {}
    with builds.beside(workspace, moved) as copy:
        made = builds.build(copy, package)
        new = image.read(made / "index", builds.sboms(made))
        after = _about(builds.sboms(made), known)
    return {cpu: compare(old[cpu], new[cpu], before[cpu], after[cpu]) for cpu in old}


def _about(sboms: dict[str, Path], known: Collection | None) -> dict[str, list[str]]:
    """By CPU, the advisories about its packages, each with the package that it is about."""
    if known is None:
        return {cpu: [] for cpu in sboms}
    return {
        cpu: [*map(str, findings.find(packages.read([sbom]).packages, known.advisories))]
        for cpu, sbom in sboms.items()
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
