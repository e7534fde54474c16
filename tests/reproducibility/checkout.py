"""Copies of the workspace, and builds of its image in them."""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.reproducibility.variations import Variation, here

# What an edit is made to, and what it is; the file is in the base layer of every image.
_EDITED = "image/files/nsswitch.conf"
_EDIT = "# edited\n"
_TARGETS = ("//image:index", "//image:index.digest")


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
    """A copy of the workspace in `folder`, and the output base of its builds."""

    variation: Variation
    folder: Path
    output: Path
    log: Path
    cache: str

    def copy(self, sources: "Sources") -> None:
        """Copies the sources, or clones their commit. Raises `BuildError`."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        if self.variation.clone:
            sources.clone(self.folder)
            return
        shutil.copytree(sources.folder, self.folder, symlinks=True)
        for target in self.folder.rglob("*"):
            if target.is_file() and not target.is_symlink():
                target.chmod(target.stat().st_mode & 0o777 & ~self.variation.copy_umask)
            if self.variation.modified is not None:
                times = (self.variation.modified, self.variation.modified)
                os.utime(target, times, follow_symlinks=False)

    def build(self) -> str:
        """Takes the variation's steps; returns the digest of the index. Raises `BuildError`."""
        for step in self.variation.steps:
            if step == "build":
                self._bazel("build", "--disk_cache=", *self.variation.options, *_TARGETS)
            elif step == "edit":
                path = self.folder / _EDITED
                path.write_text(f"{path.read_text()}{_EDIT}")
            elif step == "revert":
                path = self.folder / _EDITED
                path.write_text(path.read_text().removesuffix(_EDIT))
            elif step == "forget":
                self._bazel("clean")
        return (self.folder / "bazel-bin/image/index.json.sha256").read_text().strip()

    @property
    def layout(self) -> Path:
        """The layout that was built."""
        return self.folder / "bazel-bin/image/index"

    def remove(self) -> None:
        """Ends the Bazel server and removes all of it."""
        if (self.folder / "tools/bazel").exists():
            subprocess.run(
                self._command("shutdown"),
                cwd=self.folder,
                env=self._environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
        for folder in (self.output, self.folder):
            _remove(folder)

    def _bazel(self, *arguments: str) -> None:
        with self.log.open("ab") as log:
            code = subprocess.run(
                [*self.variation.prefix, *self._command(*arguments)],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=self.variation.umask,
                check=False,
            ).returncode
        if code:
            last = self.log.read_text(errors="replace").splitlines()[-15:]
            raise BuildError(
                f"{self.variation.name}: tools/bazel {arguments[0]} ended with {code}\n"
                + "\n".join(f"    {line}" for line in last)
            )

    def _command(self, *arguments: str) -> Sequence[str]:
        return ["tools/bazel", f"--output_base={self.output}", *arguments]

    def _environment(self) -> Mapping[str, str]:
        # The builder root and the repository cache are shared; nothing else is.
        return {**here(), "XDG_CACHE_HOME": self.cache, **self.variation.environment}


def free(folder: Path) -> float:
    """GB that are free."""
    return shutil.disk_usage(folder).free / 1e9


def seconds(since: float) -> str:
    """How long something took, for people."""
    return f"{time.monotonic() - since:.0f} s"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "safe.directory=*", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, check=True)
    except FileNotFoundError as error:
        raise BuildError("git is missing. On Debian: apt-get install git") from error
    except subprocess.CalledProcessError as error:
        raise BuildError(
            f"{folder} is no git checkout: {error.stderr.decode(errors='replace').strip()}"
        ) from error
    return done.stdout.decode()


def _remove(folder: Path) -> None:
    """Removes a tree that has folders without a write bit, as Bazel's outputs are."""
    for path, folders, _ in os.walk(folder):
        for name in folders:
            inner = Path(path, name)
            if not inner.is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
