"""Do the tests notice? Changes modules one place at a time and runs the fast tests of their room.

    tools/bazel run //tools/mutation -- PATH...

A PATH is a module or a folder that a `mutation.toml` names, below the root of the repository. The
tests run on a copy below the folder for temporary files, which is removed; nothing else is written.
Exit code 0: the tests noticed 90 of 100 changes, and what they missed is listed with its reason.
"""

import argparse
import contextlib
import importlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from tools.mutation.mutants import Mutant, mutants
from tools.mutation.rooms import Module, RoomError, chosen, of
from tools.mutation.runs import Copy, Outcome, Runner

_LEAST_KILLED = 0.9
_TELL_SECONDS = 5.0
_FAILED, _MISUSED = 1, 2

Say = Callable[[str], None]


@dataclass
class Result:
    """What came of a module's changes.

    Attributes:
        path: the module.
        killed: changes that were noticed, by a failed test or by none that ends.
        survivors: those that were not.
        stale: names of survivors in `mutation.toml` that were noticed, or are none any more.
    """

    path: str
    killed: int = 0
    survivors: list[Mutant] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All of the changes."""
        return self.killed + len(self.survivors)


def examine(
    module: Module, runner: Runner, source: str, say: Say, *, lines: Sequence[int]
) -> Result:
    """Change a module in every way and run its tests.

    Raises:
        RoomError: its tests fail without a change.
    """
    for _ in range(2):
        base = runner.baseline(module.arguments)
        if base.code:
            raise RoomError(f"{module.path}: its tests fail without a change:\n{base.log}")
        # The second time with all that is ready then.
        _warm(base.imported)
    all_of_them = [one for one in mutants(source) if not lines or one.line in lines]
    say(f"{module.path}: {len(all_of_them)} changes, {base.seconds:.1f} seconds of tests each")
    result = Result(module.path)
    told = time.monotonic()
    for mutant, outcome in runner.run(module.path, module.arguments, all_of_them, base.seconds):
        if outcome is Outcome.SURVIVED:
            result.survivors.append(mutant)
            known = module.survivors.get(mutant.name)
            say(f"  {mutant.line}: {mutant.name}" + (f"  ({known})" if known else "  SURVIVED"))
        else:
            result.killed += 1
        if time.monotonic() - told > _TELL_SECONDS:
            told = time.monotonic()
            say(f"  {result.total} of {len(all_of_them)}, {result.killed} killed")
    if not lines:
        names = {one.name for one in result.survivors}
        result.stale = sorted(set(module.survivors) - names)
    return result


def _warm(names: Sequence[str]) -> None:
    """Import what the tests import of other packages, as far as it can be imported."""
    for name in names:
        if name not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def verdict(results: Sequence[Result], modules: Sequence[Module], say: Say) -> int:
    """Say what came of all; the exit code."""
    reasons = {one.path: one.survivors for one in modules}
    code = 0
    for one in results:
        share = one.killed / one.total if one.total else 1.0
        say(f"{one.path}: {one.killed} of {one.total} killed, {share:.0%}")
        if share < _LEAST_KILLED:
            code = _FAILED
            say(f"  expected {_LEAST_KILLED:.0%}: write tests that notice")
        unknown = [mutant for mutant in one.survivors if mutant.name not in reasons[one.path]]
        for mutant in unknown:
            code = _FAILED
            say(f"  {one.path}:{mutant.line}: no test notices {mutant.name}")
        for name in one.stale:
            code = _FAILED
            say(f"  mutation.toml lists a survivor that is none: {name}")
    if code:
        say("Write a test, or list a survivor with its reason below [survivors] in mutation.toml")
    return code


def main(arguments: Sequence[str], root: Path, say: Say) -> int:
    """Run the program on the repository at a root; the exit code."""
    parser = argparse.ArgumentParser(
        prog="tools/bazel run //tools/mutation --", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("paths", nargs="+", metavar="PATH")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time")
    parser.add_argument(
        "--line",
        type=int,
        action="append",
        default=[],
        help="changes of this line only; again for more",
    )
    given = parser.parse_args(arguments)
    try:
        modules = chosen(of(root), given.paths, root)
        with tempfile.TemporaryDirectory(prefix="mutation-") as scratch:
            copies = [Copy(root, Path(scratch, str(job))) for job in range(max(1, given.jobs))]
            runner = Runner(copies)
            results = [
                examine(one, runner, (root / one.path).read_text(), say, lines=given.line)
                for one in modules
            ]
    except RoomError as error:
        say(str(error))
        return _MISUSED
    return verdict(results, modules, say)


def _leave(number: int, _: FrameType | None) -> None:
    """End as by Ctrl-C: runs are ended and copies removed on the way out."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _leave)
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    sys.exit(main(sys.argv[1:], workspace.resolve(), lambda text: print(text, flush=True)))
