"""Measures how builds grow with the number of services.

    tools/bazel run //bench/growth [-- --services 1,10,100 --rounds 7 --plot docs/growth.svg]

One scratch tree has all the services. In each round the images of the first 1, 10 and 100 have a
turn, so that a slow moment of the machine falls on all of them. Prints a Markdown table.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.growth import plot, services
from bench.growth.figures import Ratio
from bench.growth.services import GrowthError

_ROWS = ("nothing changed", "a line changed in one service", "clean build")


class Tree:
    """A scratch tree of services, and the Bazel server that builds it."""

    def __init__(self, folder: Path, packages: list[str]) -> None:
        """Takes a tree that `services` has made."""
        self.folder = folder
        self.packages = packages
        self._changes = 0

    def bazel(self, *arguments: str) -> str:
        """What a Bazel command prints; raises `GrowthError` with its last lines if it fails."""
        command = ["tools/bazel", "--max_idle_secs=120", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            tail = "\n".join(done.stderr.splitlines()[-20:])
            raise GrowthError(f"{' '.join(command[:3])} failed:\n{tail}")
        return done.stdout

    def build(self, count: int) -> float:
        """Builds the images of the first services; returns the seconds that it took."""
        started = time.monotonic()
        self.bazel("build", "--disk_cache=", *(f"//{one}:image" for one in self.packages[:count]))
        return time.monotonic() - started

    def change(self, count: int) -> float:
        """Adds a line to the first service, and builds the first services."""
        self._changes += 1
        services.change(self.folder, self.packages[0], self._changes)
        return self.build(count)

    def clean(self, count: int) -> float:
        """Builds the first services with nothing built before, from what was fetched."""
        self.bazel("clean")
        return self.build(count)

    def memory(self) -> float:
        """What the Bazel server holds after collecting garbage, in MB."""
        said = self.bazel("info", "used-heap-size-after-gc")
        return float(said.strip().removesuffix("MB"))

    def disk(self, count: int) -> float:
        """The size of all different blobs of the first services' images, in MB."""
        link = self.folder / "bazel-bin"
        blobs = {
            blob.name: blob.stat().st_size
            for package in self.packages[:count]
            for blob in (link / package / "image/blobs/sha256").iterdir()
        }
        return sum(blobs.values()) / 10**6


def measure(tree: Tree, counts: list[int], rounds: int, *, clean: bool) -> dict[str, object]:
    """Takes the rounds; returns seconds by row and number of services, memory and disk in MB."""
    seconds: dict[str, dict[int, list[float]]] = {row: {one: [] for one in counts} for row in _ROWS}
    memory, disk = {}, {}
    for count in counts:
        if clean:
            say(f"clean build of {count}")
            seconds["clean build"][count].append(tree.clean(count))
        else:
            say(f"first build of {count}")
            tree.build(count)
        memory[count], disk[count] = tree.memory(), tree.disk(count)
    for number in range(1, rounds + 1):
        say(f"round {number} of {rounds}")
        for count in sorted(counts, reverse=number % 2 == 0):
            # Another set of targets than last time is looked at anew.
            tree.build(count)
            seconds["nothing changed"][count].append(tree.build(count))
            seconds["a line changed in one service"][count].append(tree.change(count))
    return {"seconds": seconds, "memory": memory, "disk": disk}


def say(text: str) -> None:
    """Tells the person how far it is."""
    print(f"growth: {text}", file=sys.stderr, flush=True)


def table(found: dict[str, dict[int, list[float]]], counts: list[int]) -> list[str]:
    """The rows of seconds, in Markdown: medians, and ratios to the fewest services."""
    least, most = counts[0], counts[-1]
    rows = [
        f"| | {' | '.join(str(one) for one in counts)} | {most} against {least} |",
        "| --- " * (len(counts) + 2) + "|",
    ]
    for name, by_count in found.items():
        if not by_count[least]:
            continue
        medians = " | ".join(f"{statistics.median(by_count[one]):.2f} s" for one in counts)
        several = len(by_count[least]) > 1
        ratio = (
            str(Ratio.of(by_count[most], by_count[least]))
            if several
            else f"{by_count[most][0] / by_count[least][0]:.2f} (one round)"
        )
        rows.append(f"| {name} | {medians} | {ratio} |")
    return rows


def numbers(text: str) -> list[int]:
    """Numbers of services, ascending, as an argument gives them."""
    found = sorted({int(one) for one in text.split(",")})
    if not found or found[0] < 1 or found[-1] > 999 or len(found) < 2:
        raise argparse.ArgumentTypeError("two numbers from 1 to 999 expected at least: 1,10,100")
    return found


def main(words: list[str]) -> int:
    """Measures, and prints; returns 1 where it cannot."""
    parser = argparse.ArgumentParser(prog="//bench/growth", description=__doc__)
    parser.add_argument("--services", type=numbers, default=[1, 10, 100])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-clean", action="store_true", help="leave the clean builds out")
    parser.add_argument("--plot", type=Path, help="an SVG file to write")
    parser.add_argument("--json", type=Path, help="a file for all that was measured")
    arguments = parser.parse_args(words)
    if arguments.rounds < 2:
        parser.error("--rounds: two expected at least, for quartiles")
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    # Files that are named are the person's, whose folder Bazel tells.
    here = Path(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
    with tempfile.TemporaryDirectory(prefix="growth-") as scratch:
        tree = Tree(Path(scratch), [])
        try:
            services.copy(workspace, tree.folder)
            tree.packages = services.add(tree.folder, arguments.services[-1])
            say("fetching")
            tree.build(arguments.services[0])
            found = measure(
                tree, arguments.services, arguments.rounds, clean=not arguments.no_clean
            )
        except GrowthError as error:
            print(f"growth: {error}", file=sys.stderr)
            return 1
        finally:
            end(tree)
    _report(found, arguments, here)
    return 0


def end(tree: Tree) -> None:
    """Removes what was built, and ends the server."""
    try:
        tree.bazel("clean", "--expunge")
    except (GrowthError, OSError) as error:
        say(f"the scratch tree's output was not removed: {error}")


def _report(found: dict[str, object], arguments: argparse.Namespace, here: Path) -> None:
    seconds = found["seconds"]
    assert isinstance(seconds, dict)
    counts = arguments.services
    lines = table(seconds, counts)
    for name, unit in (("memory", "heap of the Bazel server"), ("disk", "blobs of all images")):
        figures = found[name]
        assert isinstance(figures, dict)
        values = " | ".join(f"{figures[one]:.1f} MB" for one in counts)
        lines.append(f"| {unit} | {values} | {figures[counts[-1]] / figures[counts[0]]:.2f} |")
    load = os.getloadavg()[0]
    print("\n".join(lines))
    print(f"\n{os.cpu_count()} CPUs, load {load:.0f}, {arguments.rounds} rounds")
    if arguments.plot:
        medians = {
            name: {one: statistics.median(values) for one, values in by_count.items()}
            for name, by_count in seconds.items()
            if by_count[counts[0]]
        }
        _write(here / arguments.plot, plot.plot("Builds of services, medians", medians))
    if arguments.json:
        _write(here / arguments.json, json.dumps(found, indent=1) + "\n")


def _write(file: Path, text: str) -> None:
    beside = file.with_name(f".{file.name}.partial")
    beside.write_text(text)
    beside.replace(file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
