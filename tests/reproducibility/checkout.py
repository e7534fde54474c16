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


@dataclass
class Checkout:
    """A copy of the workspace in `folder`, and the output base of its builds."""

    variation: Variation
    folder: Path
    output: Path
    log: Path
    cache: str

    def copy(self, workspace: Path) -> None:
        """Copies what git would commit, or clones."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        if self.variation.clone:
            _git(workspace, "clone", "--quiet", "--no-local", str(workspace), str(self.folder))
            return
        listed = _git(workspace, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        for name in filter(None, listed.split("\0")):
            source, target = workspace / name, self.folder / name
            if not source.is_file() and not source.is_symlink():
                # Deleted, and not committed yet.
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
            if not target.is_symlink():
                target.chmod(source.stat().st_mode & 0o777 & ~self.variation.copy_umask)
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
