"""Runs the tests of a module on a copy of the repository, once for each change.

Every run is a fork of this process, in which the packages that the tests need are imported already,
but nothing of the repository: a run costs what the tests cost, not what their imports do.
"""

import enum
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.mutation.mutants import Mutant

if TYPE_CHECKING:
    import pytest

# A run may take so many times what it takes without a change, and so many seconds.
_PATIENCE = 4
_LEAST_SECONDS = 10.0
_LOOK_SECONDS = 0.005
_KEPT = frozenset({".py", ".toml", ".json", ".in", ".md", ".pyi", ".txt"})


class Outcome(enum.Enum):
    """What the tests said of a change."""

    KILLED = "killed"
    SURVIVED = "survived"
    TIMED_OUT = "timed out"


@dataclass(frozen=True)
class Baseline:
    """A run without a change.

    Attributes:
        seconds: that it took.
        code: pytest's exit code.
        log: what it said.
        imported: modules that were imported, and do not come from the copy.
    """

    seconds: float
    code: int
    log: str
    imported: tuple[str, ...]


class Copy:
    """A copy of the repository's texts, in which one module at a time is changed."""

    def __init__(self, root: Path, place: Path) -> None:
        self.place = place
        shutil.copytree(root, place, ignore=_other_files, symlinks=False)

    def change(self, path: str, source: str) -> None:
        """Write a module, and forget what was compiled of it."""
        file = self.place / path
        for compiled in file.parent.glob(f"__pycache__/{file.stem}.*"):
            compiled.unlink()
        # The copy may be of files that are not to be written.
        file.unlink()
        file.write_text(source)


def _other_files(folder: str, names: list[str]) -> set[str]:
    """What is not copied: everything but texts that tests read."""
    return {
        name
        for name in names
        if (
            name.startswith((".", "bazel-", "__pycache__"))
            if Path(folder, name).is_dir()
            else Path(name).suffix not in _KEPT
        )
    }


class Runner:
    """Runs tests in forks.

    Args:
        copies: one for each run at a time.
    """

    def __init__(self, copies: Sequence[Copy]) -> None:
        self._copies = copies

    def baseline(self, tests: Sequence[str]) -> Baseline:
        """Run tests as they are, twice: the second time with everything compiled."""
        log = self._copies[0].place / "baseline.log"
        imported = self._copies[0].place / "baseline.modules"
        began = 0.0
        code = 0
        for _ in range(2):
            began = time.monotonic()
            pid = self._fork(self._copies[0], tests, log=log, imported=imported)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if code:
                break
        seconds = time.monotonic() - began
        names = tuple(imported.read_text().split()) if imported.exists() else ()
        text = log.read_text()
        log.unlink()
        imported.unlink(missing_ok=True)
        return Baseline(seconds, code, text, names)

    def run(
        self, path: str, tests: Sequence[str], mutants: Sequence[Mutant], seconds: float
    ) -> Iterator[tuple[Mutant, Outcome]]:
        """Run tests once for each change; what came of it, as it comes."""
        original = (self._copies[0].place / path).read_text()
        limit = max(_LEAST_SECONDS, seconds * _PATIENCE)
        free = list(self._copies)
        waiting = list(reversed(mutants))
        running: dict[int, tuple[Copy, Mutant, float]] = {}
        try:
            while waiting or running:
                while waiting and free:
                    copy, mutant = free.pop(), waiting.pop()
                    copy.change(path, mutant.source)
                    running[self._fork(copy, tests)] = copy, mutant, time.monotonic() + limit
                for pid, (copy, mutant, deadline) in list(running.items()):
                    ended, status = os.waitpid(pid, os.WNOHANG)
                    if ended:
                        outcome = Outcome.KILLED if status else Outcome.SURVIVED
                    elif time.monotonic() > deadline:
                        _end(pid)
                        outcome = Outcome.TIMED_OUT
                    else:
                        continue
                    del running[pid]
                    free.append(copy)
                    yield mutant, outcome
                time.sleep(_LOOK_SECONDS)
        finally:
            for pid in running:
                _end(pid)
            for copy in self._copies:
                copy.change(path, original)

    def _fork(
        self,
        copy: Copy,
        tests: Sequence[str],
        *,
        log: Path | None = None,
        imported: Path | None = None,
    ) -> int:
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._enter(copy.place, log)
            code = _pytest(copy.place, tests)
            if imported is not None:
                imported.write_text("\n".join(_imported(copy.place)))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _enter(self, place: Path, log: Path | None) -> None:
        """Have what is imported from now on come from the copy."""
        os.chdir(place)
        own = _own(place)
        # Whatever else has packages of the repository's names is not looked at.
        others = [
            one for one in sys.path if one and not any(Path(one, name).is_dir() for name in own)
        ]
        sys.path[:] = [str(place), *others]
        for name in [one for one in sys.modules if one.partition(".")[0] in own]:
            del sys.modules[name]
        out = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        # Whoever runs this may have put something else in their place.
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        # Compiled when nothing is changed, and never what is; beside the modules, where `change`
        # looks.
        sys.dont_write_bytecode = log is None
        sys.pycache_prefix = None


def _own(place: Path) -> set[str]:
    return {one.name for one in place.iterdir() if one.is_dir()}


def _imported(place: Path) -> Iterator[str]:
    """Modules to have ready: packages of others, in the order in which they were imported.

    Private ones come with those that they belong to: `_asyncio` imported before `asyncio` is
    another one.
    """
    own = _own(place) | {"__main__", "conftest"}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        # Of more than itself hypothesis complains where its plugin is not there yet.
        if name[0] == "_" or name.startswith("hypothesis."):
            continue
        if name.partition(".")[0] not in own and not file.startswith(str(place)):
            yield name


def _pytest(place: Path, tests: Sequence[str]) -> int:
    import pytest  # noqa: PLC0415  (in the fork: the parent runs none)
    from hypothesis import Phase, settings  # noqa: PLC0415

    # The first example that fails is enough; nobody reads the smallest.
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutation", database=None, derandomize=True, phases=phases)
    settings.load_profile("mutation")
    return int(
        pytest.main(
            [
                f"--rootdir={place}",
                f"--config-file={place / 'pyproject.toml'}",
                f"--basetemp={place / 'tmp'}",
                "--import-mode=importlib",
                # Nobody reads what a failed assertion was about, and to rewrite them takes time.
                "--assert=plain",
                *("-p", "no:cacheprovider"),
                *("-o", "consider_namespace_packages=true"),
                *("-x", "-q", "--tb=line"),
                *tests,
            ],
            plugins=[_ServersLast()],
        )
    )


class _ServersLast:
    """Tests that need PostgreSQL run last: most changes are noticed before one is started."""

    def pytest_collection_modifyitems(self, items: "list[pytest.Item]") -> None:
        """Move them; otherwise the order stays."""
        items.sort(key=lambda item: item.get_closest_marker("postgresql") is not None)


def _end(pid: int) -> None:
    """End a run and what it has started."""
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
