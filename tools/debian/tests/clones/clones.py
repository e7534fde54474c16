"""Builds the image from clones in different places that share a disk cache.

    tools/bazel run //tools/debian/tests/clones [-- --places]

Every action of the second clone has to come out of the cache, and no input of an action may name a
folder of the machine: then a cache serves everybody, and digests depend on no place. With
`--places`, Bazel is also started in a clone below each folder that people keep theirs in.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.debian.tests.clones import copies

TARGET = "//image"
# Characters that shells, rc files, URIs and Java each read in their own way.
ODD = 'zwei Klöne, it\'s "b" 日本'
PLACES = (
    "/etc",
    "/mnt",
    "/opt",
    "/run",
    "/srv",
    "/usr/local/src",
    "/usr/src",
    "/var/lib",
    "/var/tmp",
)


@contextlib.contextmanager
def clone(workspace: Path, parent: Path) -> Iterator[Path]:
    """A copy of the checkout; in the end nothing of it is left, Bazel's output included."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix="clone-") as folder:
        copy = Path(folder)
        copies.copy(workspace, copy)
        try:
            yield copy
        finally:
            bazel(copy, "clean", "--expunge")


def bazel(folder: Path, *words: str) -> str:
    """What Bazel prints; its messages are shown where it fails."""
    done = subprocess.run(
        ["tools/bazel", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{folder}: bazel {' '.join(words)}:\n{done.stderr[-4000:]}")
    return done.stdout


def build(folder: Path, cache: Path, scratch: Path) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Builds the image; actions by what ran them, and the log of those that ran (spawn.proto)."""
    events, log = scratch / "events.json", scratch / "log.json"
    bazel(
        folder,
        "build",
        TARGET,
        f"--disk_cache={cache}",
        f"--build_event_json_file={events}",
        f"--execution_log_json_file={log}",
    )
    counts: dict[str, int] = {}
    for line in events.read_text(encoding="utf-8").splitlines():
        summary = json.loads(line).get("buildMetrics", {}).get("actionSummary", {})
        counts |= {one["name"]: int(one["count"]) for one in summary.get("runnerCount", [])}
    decoder, text, spawns, at = json.JSONDecoder(), log.read_text(encoding="utf-8"), [], 0
    while at < len(text.rstrip()):
        spawn, at = decoder.raw_decode(text, at)
        spawns.append(spawn)
        while at < len(text) and text[at].isspace():
            at += 1
    return counts, spawns


def leaks(folder: Path, spawns: list[dict[str, Any]]) -> list[str]:
    """Inputs of actions that name the checkout or Bazel's output folder."""
    root = Path(bazel(folder, "info", "execution_root").strip())
    base = bazel(folder, "info", "output_base").strip()
    names = [os.fsencode(str(folder)), os.fsencode(base)]
    inputs = sorted({one["path"] for spawn in spawns for one in spawn.get("inputs", [])})
    return [
        path
        for path in inputs
        if (root / path).is_file() and any(name in (root / path).read_bytes() for name in names)
    ]


def compare(workspace: Path, scratch: Path) -> list[str]:
    """What is wrong with two clones that share a cache; nothing, where all is well."""
    wrong = []
    cache = scratch / "disk"
    with clone(workspace, scratch / "one") as first:
        counts, spawns = build(first, cache, scratch)
        print(f"first clone: {counts}", flush=True)
        if not spawns:
            wrong.append("the first clone ran no action; expected an empty cache")
        wrong += [
            f"input of an action names a folder of the machine: {path}"
            for path in leaks(first, spawns)
        ]
        digest = (first / "bazel-bin/image/image/index.json").read_bytes()
    with clone(workspace, scratch / ODD) as second:
        counts, _ = build(second, cache, scratch)
        print(f"second clone: {counts}", flush=True)
        others = sorted(counts.keys() - {"total", "internal", "disk cache hit"})
        wrong += [f"{counts[other]} actions of the second clone ran ({other})" for other in others]
        if (second / "bazel-bin/image/image/index.json").read_bytes() != digest:
            wrong.append("the digests of the two clones differ")
    return wrong


def main(arguments: list[str]) -> int:
    """Prints what is wrong; returns 1 where anything is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--places", action="store_true", help="start Bazel in many places, too")
    options = parser.parse_args(arguments)
    workspace = Path(os.environ["BUILD_WORKSPACE_DIRECTORY"])
    wrong = []
    for place in PLACES if options.places else ():
        if not os.access(place, os.W_OK):
            print(f"{place}: passed over, not writable")
            continue
        with clone(workspace, Path(place)) as copy:
            found = bazel(copy, "info", "workspace").strip()
            print(f"{place}: {'ok' if found == str(copy) else found}", flush=True)
            wrong += [] if found == str(copy) else [f"{copy}: Bazel works in {found}"]
    with tempfile.TemporaryDirectory(prefix="clones-") as scratch:
        wrong += compare(workspace, Path(scratch))
    print("\n".join(wrong) or "every action came out of the cache, and no input names a folder")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
