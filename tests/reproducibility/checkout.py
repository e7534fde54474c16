"""Copies of the workspace, and builds of its image in them."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.reproducibility.machine import Made
from tests.reproducibility.variations import EDIT, EDITED, Variation, here
from tools.git import command as git
from tools.signals import termination

_TARGETS = ("//image:index", "//image:index.digest")
_RECIPE = "tools/debian/recipe.toml"
# Startup options of all: a server that nobody tells to end does so.
_STARTUP = ("--max_idle_secs=120",)


class BuildError(Exception):
    """A variation cannot be built; the text says why, and what to do."""


@dataclass(frozen=True)
class Sources:
    """The workspace as it was when the matrix began: a person may go on working in it."""

    workspace: Path
    folder: Path
    revision: str
    clean: bool

    @classmethod
    def of(cls, workspace: Path, folder: Path) -> "Sources":
        """Copies what git would commit; raises `BuildError` where there is no git checkout."""
        listed = _git(workspace, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        for name in filter(None, listed.split("\0")):
            source, target = workspace / name, folder / name
            if not source.is_file() and not source.is_symlink():
                # Deleted, and not committed yet.
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
        revision = _git(workspace, "rev-parse", "HEAD").strip()
        changed = _git(workspace, "status", "--porcelain", "--untracked-files=normal")
        return cls(workspace, folder, revision, clean=not changed)

    def clone(self, target: Path) -> None:
        """Clones the commit; raises `BuildError` where the sources are not those of it."""
        if not self.clean:
            raise BuildError(
                "a clone has the files of a commit, and this checkout has others: commit them"
            )
        _git(self.workspace, "clone", "--quiet", "--no-local", str(self.workspace), str(target))
        _git(target, "checkout", "--quiet", "--detach", self.revision)


@dataclass
class Checkout:
    """A copy of the workspace in `folder`, and the output base of its builds.

    Both are paths of the machine; `log` and `cache` are of this process.
    """

    variation: Variation
    made: Made
    folder: Path
    output: Path
    log: Path
    cache: Path

    def copy(self, sources: "Sources") -> None:
        """Copies the sources, or clones their commit. Raises `BuildError`."""
        target = self.made.view(self.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.variation.clone:
            sources.clone(target)
        else:
            shutil.copytree(sources.folder, target, symlinks=True)
            self._disguise(target)
        if self.variation.suite:
            recipe = target / _RECIPE
            text = re.sub(
                r"(?m)^suite = .*$", f'suite = "{self.variation.suite}"', recipe.read_text()
            )
            recipe.write_text(text)
        self.made.own(target)

    def _disguise(self, folder: Path) -> None:
        """Gives the copy the modes and times of the variation."""
        for target in folder.rglob("*"):
            if target.is_file() and not target.is_symlink():
                target.chmod(target.stat().st_mode & 0o777 & ~self.variation.copy_umask)
            if self.variation.modified is not None:
                times = (self.variation.modified, self.variation.modified)
                os.utime(target, times, follow_symlinks=False)

    def build(self) -> str:
        """Takes the variation's steps; returns the digest of the index. Raises `BuildError`."""
        edited = self.made.view(self.folder) / EDITED
        for step in self.variation.steps:
            if step == "build":
                self._bazel("build", "--disk_cache=", *self.variation.options, *_TARGETS)
            elif step == "edit":
                edited.write_text(f"{edited.read_text()}{EDIT}")
            elif step == "revert":
                edited.write_text(edited.read_text().removesuffix(EDIT))
            elif step == "clean":
                self.clean()
        return self._output("image/index.json.sha256").read_text().strip()

    def keep(self, target: Path) -> None:
        """Copies the layout that was built."""
        shutil.copytree(self._output("image/index"), target)

    def _output(self, name: str) -> Path:
        """A file that was built, without Bazel's link: it is one of the machine's paths."""
        link = self.made.view(self.folder) / "bazel-bin"
        try:
            return self.made.view(link.readlink()) / name
        except OSError:
            return link / name

    def clean(self) -> None:
        """Removes what was built; what was fetched and unpacked stays. Raises `BuildError`."""
        self._bazel("clean")

    def shutdown(self) -> None:
        """Ends the Bazel server; it takes what it holds in memory with it."""
        if (self.made.view(self.folder) / "tools/bazel").exists():
            self._run(subprocess.DEVNULL, "shutdown")

    def remove(self) -> None:
        """Ends the Bazel server and removes all of it."""
        self.shutdown()
        for folder in (self.output, self.folder):
            remove(self.made.view(folder))

    def _bazel(self, *arguments: str) -> None:
        with self.log.open("ab") as log:
            code = self._run(log, *arguments)
        if code:
            last = self.log.read_text(errors="replace").splitlines()[-15:]
            raise BuildError(
                f"{self.variation.name}: tools/bazel {arguments[0]} ended with {code}\n"
                + "\n".join(f"    {line}" for line in last)
            )

    def _run(self, log: int | IO[bytes], *arguments: str) -> int:
        startup = (f"--output_base={self.output}", *_STARTUP)
        # In a machine with mounts of its own, the folder is there for its commands only.
        here_too = self.made.view(self.folder) == self.folder
        return termination.run(
            [
                *self.made.command(self.folder),
                *self.variation.prefix,
                *("tools/bazel", *startup, *arguments),
            ],
            cwd=self.folder if here_too else "/",
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            umask=self.variation.umask,
        )

    def _environment(self) -> Mapping[str, str]:
        # The builder root and the repository cache are shared; nothing else is.
        return {
            **here(),
            "XDG_CACHE_HOME": str(self.cache),
            **self.made.environment,
            **self.variation.environment,
        }


def free(folder: Path) -> float:
    """GB that are free."""
    return shutil.disk_usage(folder).free / 1e9


def seconds(began: float) -> str:
    """The time since then."""
    return f"{time.monotonic() - began:.0f} s"


def remove(folder: Path) -> None:
    """Removes a tree that has folders without a write bit, as Bazel's outputs are."""
    for path, folders, _ in os.walk(folder):
        for name in folders:
            inner = Path(path, name)
            if not inner.is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _git(folder: Path, *arguments: str) -> str:
    try:
        return os.fsdecode(git.output(folder, *arguments))
    except FileNotFoundError as error:
        raise BuildError("git is missing. On Debian: apt-get install git") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise BuildError(f"{folder} is no git checkout: {said}") from error
