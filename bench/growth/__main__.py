"""Measures how builds grow with the number of services.

    tools/bazel run //bench/growth [-- --services 1,10,100 --rounds 7 --plot docs/growth.svg]

One scratch tree has all the services. In each round the images of the first 1, 10 and 100 have a
turn, so that a slow moment of the machine falls on all of them. Prints a Markdown table.
"""

import argparse
import os
import sys
from pathlib import Path

from bench import machine, page
from bench.checkout import Checkout, copy
from bench.commands import BenchError
from bench.growth import report, services
from bench.growth.report import CHANGED, CLEAN, UNCHANGED, Growth
from bench.scratch import scratch
from tools.signals.termination import terminable

PAGE, FIGURES, PLOT = "docs/performance.md", "docs/growth.json", "docs/growth.svg"
PART = "growth"


class Tree(Checkout):
    """A scratch tree of services."""

    packages: list[str]
    _changes = 0

    def first(self, count: int) -> float:
        """Builds the images of the first services; returns the seconds that it took."""
        return self.build(*(f"//{one}:image" for one in self.packages[:count]))

    def change(self, count: int) -> float:
        """Adds a line to the first service, and builds the first services."""
        self._changes += 1
        services.change(self.folder, self.packages[0], self._changes)
        return self.first(count)

    def anew(self, count: int) -> float:
        """Builds the first services with nothing built before, from what was fetched."""
        self.clean()
        return self.first(count)

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


def measure(tree: Tree, counts: list[int], rounds: int, *, clean: bool) -> Growth:
    """Takes the rounds."""
    found = Growth(counts)
    for count in counts:
        if clean:
            say(f"clean build of {count}")
            found.add(CLEAN, count, tree.anew(count))
        else:
            say(f"first build of {count}")
            tree.first(count)
        found.memory[str(count)] = tree.memory()
        found.disk[str(count)] = tree.disk(count)
    for number in range(1, rounds + 1):
        say(f"round {number} of {rounds}")
        for count in sorted(counts, reverse=number % 2 == 0):
            # Another set of targets than last time is looked at anew.
            tree.first(count)
            found.add(UNCHANGED, count, tree.first(count))
            found.add(CHANGED, count, tree.change(count))
    return found


def say(text: str) -> None:
    """Tells the person how far it is."""
    print(f"growth: {text}", file=sys.stderr, flush=True)


def numbers(text: str) -> list[int]:
    """Numbers of services, ascending, as an argument gives them."""
    found = sorted({int(one) for one in text.split(",")})
    if not found or found[0] < 1 or found[-1] > 999 or len(found) < 2:
        raise argparse.ArgumentTypeError("two numbers from 1 to 999 expected at least: 1,10,100")
    return found


def main(words: list[str]) -> int:
    """Measures, and prints; returns 2 where it cannot."""
    parser = argparse.ArgumentParser(prog="tools/bazel run //bench/growth --", description=__doc__)
    parser.add_argument("--services", type=numbers, default=[1, 10, 100])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-clean", action="store_true", help="leave the clean builds out")
    parser.add_argument("--plot", type=Path, help="an SVG file to write")
    parser.add_argument("--json", type=Path, help="a file for all that was measured")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE}, figures and plot")
    arguments = parser.parse_args(words)
    if arguments.rounds < 2:
        parser.error("--rounds: two expected at least, for quartiles")
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    load = os.getloadavg()[0]
    with terminable(), scratch("growth") as folder:
        tree = Tree(folder / "tree")
        try:
            if arguments.write:
                # Lest it be found wrong at the end.
                page.insert((workspace / PAGE).read_text(), PART, "")
            copy(workspace, tree.folder)
            tree.packages = services.add(tree.folder, arguments.services[-1])
            say("fetching")
            tree.first(arguments.services[0])
            found = measure(
                tree, arguments.services, arguments.rounds, clean=not arguments.no_clean
            )
            found.machine = machine.describe(load)
        except BenchError as error:
            print(f"growth: {error}", file=sys.stderr)
            return 2
        finally:
            _end(tree)
    _tell(found, arguments)
    return 0


def _end(tree: Tree) -> None:
    try:
        tree.end()
    except BenchError as error:
        say(f"the scratch tree's Bazel server did not end: {error}")


def _tell(found: Growth, arguments: argparse.Namespace) -> None:
    # Files that are named are the person's, whose folder Bazel tells.
    here = Path(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    if arguments.json:
        page.write(here / arguments.json, found.dumps())
    if arguments.plot:
        page.write(here / arguments.plot, report.draw(found))
    if not arguments.write:
        print(report.render(found))
        return
    text = page.insert((workspace / PAGE).read_text(), PART, report.render(found))
    page.write(workspace / PAGE, text)
    page.write(workspace / FIGURES, found.dumps())
    page.write(workspace / PLOT, report.draw(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
