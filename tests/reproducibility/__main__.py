"""Builds //image:index many times, each time with one thing varied, and compares the digests.

The exit code is 0 where all are the same, 1 where one differs, 2 where one could not be built.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

from tests.reproducibility.checkout import BuildError, Sources, remove, seconds
from tests.reproducibility.matrix import DIFFERENT, SAME, Matrix, Row, sweep
from tests.reproducibility.variations import Variation, variations
from tools.signals.termination import terminable

_ALL_SAME, _ONE_DIFFERS, _ONE_MISSING = 0, 1, 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/bazel run //tests/reproducibility --", description=__doc__
    )
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="and baseline")
    parser.add_argument("--skip", action="append", default=[], metavar="NAME", help="all but it")
    parser.add_argument("--list", action="store_true", help="print names and reasons")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--scratch", type=Path, help="folder to build below, in place of TMPDIR")
    parser.add_argument("--libfaketime", type=Path, default=Path(), help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs the matrix, or the part of it that the arguments name."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.list:
        for each in variations(""):
            print(f"{each.name:22} {each.reason}")
        return _ALL_SAME
    # tools/bazel has folders of its own there, which are gone when it ends.
    place = (options.scratch or Path(tempfile.gettempdir())).resolve()
    if place.is_relative_to("/var/tmp") or place.is_relative_to("/run"):
        parser.error(f"expected a folder outside of /var/tmp and /run to build below, got {place}")
    known = {each.name for each in variations("")}
    if unknown := {*options.only, *options.skip} - known:
        parser.error(f"no variation is called {', '.join(sorted(unknown))}; --list has them")
    sweep(place)
    try:
        with terminable(), _scratch(place, parser) as folder:
            first, *others = variations(str(folder))
            chosen = [
                each
                for each in others
                if (not options.only or each.name in options.only) and each.name not in options.skip
            ]
            rows = _run(folder, [first, *chosen], options.libfaketime.absolute())
    except BuildError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return _ONE_MISSING
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    results = [row.result for row in rows]
    counts = ", ".join(f"{results.count(each)} {each}" for each in dict.fromkeys(results))
    print(f"{counts}; {sum(row.seconds for row in rows) / 60:.1f} minutes", file=sys.stderr)
    if DIFFERENT in results:
        return _ONE_DIFFERS
    return _ALL_SAME if set(results) == {SAME} else _ONE_MISSING


@contextmanager
def _scratch(place: Path, parser: argparse.ArgumentParser) -> Iterator[Path]:
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"reproducibility-{os.getpid()}-", dir=place))
    except OSError as error:
        parser.error(f"expected a folder to build below: {error}")
    try:
        yield folder
    finally:
        remove(folder)


def _run(folder: Path, chosen: Sequence[Variation], faketime: Path) -> list[Row]:
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY") or Path.cwd())
    home = os.environ.get("HOME") or str(Path.home())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache")
    rows: list[Row] = []
    matrix = Matrix(Sources.of(workspace, folder / "sources"), folder, cache, faketime)
    with closing(matrix):
        for number, variation in enumerate(chosen):
            began = time.monotonic()
            shown = f"[{number + 1}/{len(chosen)}] {variation.name}"
            print(f"{shown} ...", file=sys.stderr, flush=True)
            row = matrix.row(variation)
            rows.append(row)
            said = f"{shown}: {row.result} {row.digest} ({seconds(began)})\n{row.detail}"
            print(said.rstrip(), file=sys.stderr, flush=True)
            if not matrix.digest:
                break
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
