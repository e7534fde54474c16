"""Compares this repository's build, and its image, with what people use instead.

    tools/bazel run //bench [-- --quick] [--only GROUP] [--write]

Bazel, buildah and podman have a turn in each round, so that a slow moment of the machine falls on
all of them. Prints a Markdown table; `--write` puts it into docs/performance.md. The exit code is 2
where something cannot be measured here.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import comparison, machine, page
from bench.commands import BenchError, need
from bench.comparison import Figures
from bench.measure import Comparison, Places, Plan
from bench.rows import GROUPS
from bench.scratch import scratch
from tests.container import kernel
from tools.dev import postgres
from tools.locks.error import LockError
from tools.signals.termination import terminable

PAGE, FIGURES, PLOT = "docs/performance.md", "docs/bench.json", "docs/bench.svg"
PART = "bench"
_PEERS = ("buildah", "podman")
_PACKAGES = {
    "buildah": "buildah",
    "bwrap": "bubblewrap",
    "git": "git",
    "mmdebstrap": "mmdebstrap",
    "podman": "podman",
    "wrk": "wrk",
}
# What root's engines keep outside of the folders that they are given: where layers may be reused.
_SHARED = Path("/var/lib/containers")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/bazel run //bench --", description=__doc__)
    add = parser.add_argument
    add("--only", action="append", choices=GROUPS, help="these rows; may be repeated")
    add("--peer", action="append", choices=_PEERS, help="compare with it; both by default")
    add("--quick", action="store_true", help="few rounds, buildah alone: at most three minutes")
    add("--rounds", type=int, help="of short steps; clean builds take fewer")
    add("--rules-oci", type=Path, metavar="CHECKOUT", help="also build by the real rules_oci")
    add("--bazelrc", type=Path, metavar="FILE", help="what else that needs; see reproducibility.md")
    add("--write", action="store_true", help="write docs/performance.md, its figures and plot")
    add("--json", type=Path, metavar="FILE", help="write what was measured")
    add("--service", type=Path, help=argparse.SUPPRESS)
    return parser


def plan(options: argparse.Namespace) -> Plan:
    """What the arguments ask for."""
    rounds = options.rounds or (2 if options.quick else 7)
    peers = options.peer or (_PEERS[:1] if options.quick else _PEERS)
    here = Path(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
    rules_oci, bazelrc = (
        (here / file).resolve() if file else None for file in (options.rules_oci, options.bazelrc)
    )
    return Plan(
        groups=tuple(options.only or GROUPS),
        peers=tuple(dict.fromkeys(peers)),
        builds=1 if options.quick else min(rounds, 5),
        rounds=rounds,
        seconds=1 if options.quick else 2,
        rules_oci=rules_oci,
        bazelrc=bazelrc,
    )


def main(words: Sequence[str]) -> int:
    """Measures, and prints or writes; returns 2 where it cannot."""
    parser = _parser()
    options = parser.parse_args(words)
    if options.rounds is not None and options.rounds < 2:
        parser.error("--rounds: two expected at least, for quartiles")
    if options.bazelrc and not options.rules_oci:
        parser.error("--bazelrc is for --rules-oci")
    if options.write and (options.only or options.quick or options.peer):
        parser.error("--write: expected every row and peer, so without --only, --quick and --peer")
    chosen = plan(options)
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    try:
        if options.write:
            # Lest it be found wrong at the end.
            page.insert((workspace / PAGE).read_text(), PART, "")
        figures = _measure(chosen, options)
    except (BenchError, LockError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    text = comparison.render(figures)
    if options.json:
        page.write(
            Path(os.environ.get("BUILD_WORKING_DIRECTORY", "."), options.json), figures.dumps()
        )
    if not options.write:
        print(text)
        return 0
    page.write(workspace / PAGE, page.insert((workspace / PAGE).read_text(), PART, text))
    page.write(workspace / FIGURES, figures.dumps())
    page.write(workspace / PLOT, comparison.plot(figures))
    return 0


def _measure(chosen: Plan, options: argparse.Namespace) -> Figures:
    needed = {"bwrap", "git", "mmdebstrap", *chosen.peers}
    if {"reads", "writes"}.intersection(chosen.groups):
        needed.add("wrk")
    need({name: _PACKAGES[name] for name in needed})
    if chosen.rules_oci and not (chosen.rules_oci / "MODULE.bazel").exists():
        raise BenchError(f"{chosen.rules_oci}: expected a checkout of rules_oci, with MODULE.bazel")
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", ".")).resolve()
    home = Path(os.environ.get("HOME") or Path.home())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "bazel-debian"
    definition = json.loads(options.service.read_text())
    with terminable(), scratch("bench") as folder, _own_mounts(folder):
        places = Places(workspace, cache, folder, postgres.tree())
        before = os.getloadavg()[0]
        with Comparison(chosen, places, definition) as run:
            run.take()
            run.figures.machine = machine.describe(before)
            return run.figures


@contextlib.contextmanager
def _own_mounts(folder: Path) -> Iterator[None]:
    """Gives root a mount namespace of its own: mounts of engines are gone with this process.

    What root's engines keep outside of the folders that they are given goes below `folder`.
    """
    if os.geteuid() != 0:
        yield
        return
    made = not _SHARED.exists()
    own = folder / "shared"
    own.mkdir()
    try:
        _SHARED.mkdir(parents=True, exist_ok=True)
        os.unshare(os.CLONE_NEWNS)
        kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount(str(own), str(_SHARED), "", kernel.MS_BIND)
    except OSError as error:
        raise BenchError(
            f"the kernel refuses a mount namespace to root: {error.strerror}. This root lacks "
            "CAP_SYS_ADMIN: start the surrounding container with --privileged"
        ) from error
    try:
        yield
    finally:
        kernel.unmount(str(_SHARED))
        if made:
            with contextlib.suppress(OSError):
                _SHARED.rmdir()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
