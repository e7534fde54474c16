"""Builds //image:index many times, each time with one thing varied, and compares the digests.

The exit code is 0 where all are the same, 1 where one differs, 2 where one could not be built.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from rules.diff import rendering
from rules.diff.__main__ import compare
from tests.reproducibility.checkout import BuildError, Checkout, Sources, free, seconds
from tests.reproducibility.variations import Variation, variations

SAME, DIFFERENT, FAILED = 0, 1, 2
_GIGABYTES = 6.0


def main(arguments: Sequence[str]) -> int:
    """Runs the matrix, or the part of it that the arguments name."""
    parser = argparse.ArgumentParser(prog="reproducibility", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="and baseline")
    parser.add_argument("--list", action="store_true", help="print names and reasons")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--scratch", type=Path, help="folder to build below, in place of TMPDIR")
    options = parser.parse_args(arguments)
    # tools/bazel has folders of its own there, which are gone when it ends.
    place = (options.scratch or Path(tempfile.gettempdir())).resolve()
    if place.is_relative_to("/var/tmp") or place.is_relative_to("/run"):
        parser.error(f"expected a folder outside of /var/tmp and /run to build below, got {place}")
    signal.signal(signal.SIGTERM, _stop)
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY") or Path.cwd())
    with tempfile.TemporaryDirectory(prefix="reproducibility-", dir=options.scratch) as folder:
        known = variations(folder)
        if options.list:
            for each in known:
                print(f"{each.name:22} {each.reason}")
            return SAME
        unknown = set(options.only) - {each.name for each in known}
        if unknown:
            parser.error(f"no variation is called {', '.join(sorted(unknown))}; --list has them")
        chosen = [each for each in known if not options.only or each.name in options.only]
        if known[0] not in chosen:
            chosen.insert(0, known[0])
        try:
            sources = Sources.of(workspace, Path(folder, "sources"))
        except BuildError as error:
            print(f"ERROR: {error}", file=sys.stderr)
            return FAILED
        rows = _run(sources, Path(folder), chosen)
    if options.json:
        print(json.dumps(rows, indent=2))
    results = {row["result"] for row in rows}
    if "different" in results:
        return DIFFERENT
    return FAILED if "failed" in results or "not run" in results else SAME


def _run(sources: Sources, scratch: Path, chosen: Sequence[Variation]) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for number, variation in enumerate(chosen):
        began = time.monotonic()
        print(f"[{number + 1}/{len(chosen)}] {variation.name} ...", file=sys.stderr, flush=True)
        row = _one(sources, scratch, variation, rows[0]["digest"] if rows else "")
        rows.append({"name": variation.name, **row})
        print(
            f"[{number + 1}/{len(chosen)}] {variation.name}: {row['result']} "
            f"{row['digest']} ({seconds(began)})\n{row['detail']}".rstrip(),
            file=sys.stderr,
            flush=True,
        )
        if not rows[0]["digest"]:
            break
    return rows


def _one(sources: Sources, scratch: Path, variation: Variation, baseline: str) -> dict[str, str]:
    if lacking := _lacking(variation):
        return {"result": "not run", "digest": "", "detail": lacking}
    if free(scratch) < _GIGABYTES:
        detail = f"{scratch}: {_GIGABYTES:g} GB free expected, got {free(scratch):.1f}"
        return {"result": "failed", "digest": "", "detail": f"{detail}; --scratch names another"}
    home = os.environ.get("HOME") or str(Path.home())
    checkout = Checkout(
        variation,
        scratch / variation.folder,
        scratch / "output",
        scratch / f"{variation.name}.log",
        os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache",
    )
    try:
        checkout.copy(sources)
        digest = checkout.build()
        kept = scratch / "baseline"
        if not baseline:
            shutil.copytree(checkout.layout, kept)
            return {"result": "same", "digest": digest, "detail": ""}
        if digest == baseline:
            return {"result": "same", "digest": digest, "detail": ""}
        report = compare(str(kept), str(checkout.layout), base=scratch)
        return {"result": "different", "digest": digest, "detail": rendering.text(report)}
    except (BuildError, OSError) as error:
        return {"result": "failed", "digest": "", "detail": str(error)}
    finally:
        checkout.remove()


def _lacking(variation: Variation) -> str:
    if variation.root and os.geteuid() != 0:
        return "it takes root"
    if variation.prefix and shutil.which(variation.prefix[0]) is None:
        program = variation.prefix[0]
        return f"{program} is missing. On Debian: apt-get install {variation.package}"
    return ""


def _stop(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
