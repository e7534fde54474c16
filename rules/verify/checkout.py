"""The sources of a rebuild: this checkout, or a commit of it in a folder of its own."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rules.diff.error import UnreadableError
from tools.git import command
from tools.signals import termination

# What decides, besides the commit, which bytes a build takes; all of them are in the commit.
_LOCKS = ("MODULE.bazel", "image/lock.json", "requirements_lock.txt", "tools/debian/recipe.toml")

# A cache that the person's own rc file names would give what others built in place of a rebuild.
_OWN_RESULTS = ("--disk_cache=", "--noremote_accept_cached")


@dataclass(frozen=True)
class Sources:
    """A folder of sources; `revision` is empty where it is no git checkout.

    `clean` says whether its files are those of the commit.
    """

    folder: Path
    revision: str
    clean: bool

    @property
    def locks(self) -> Mapping[str, str]:
        """SHA-256 of each lock file that there is, by path."""
        return {
            name: hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
            for name in _LOCKS
            if (self.folder / name).is_file()
        }

    def __str__(self) -> str:
        if not self.revision:
            return f"{self.folder}, which is no git checkout"
        changed = "" if self.clean else ", with changes that are not committed"
        return f"{self.folder} at revision {self.revision}{changed}"


def here(folder: Path) -> Sources:
    """The checkout as it lies there."""
    try:
        revision = git(folder, "rev-parse", "HEAD")
        changed = git(folder, "status", "--porcelain", "--untracked-files=normal")
    except (OSError, subprocess.CalledProcessError):
        return Sources(folder, "", clean=False)
    return Sources(folder, revision, clean=not changed)


@contextmanager
def beside(folder: Path, revision: str) -> Iterator[Sources]:
    """A commit of the checkout in a folder of its own, which is gone afterwards.

    Raises `UnreadableError` where the checkout has no such commit.
    """
    scratch = tempfile.mkdtemp(prefix="image-verify-")
    try:
        target = Path(scratch, "checkout")
        try:
            # It borrows the objects, and leaves nothing in the person's own repository.
            git(folder, "clone", "--quiet", "--shared", "--no-checkout", str(folder), str(target))
            commit = git(target, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
            git(target, "checkout", "--quiet", "--detach", commit)
        except FileNotFoundError as error:
            raise UnreadableError("git is missing. On Debian: apt-get install git") from error
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip()
            raise UnreadableError(
                f"{folder} has no commit {revision}: fetch it first{f' ({said})' if said else ''}"
            ) from error
        yield Sources(target, commit, clean=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def built(sources: Sources, target: str, options: Sequence[str]) -> Iterator[Path]:
    """The layout that a target of the sources makes; raises `UnreadableError` if it makes none.

    What Bazel keeps for those sources is gone afterwards, and so is its server.
    """
    bazel = sources.folder / "tools/bazel"
    package, _, name = target.removeprefix("//").partition(":")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BUILD_", "RUNFILES", "PYTHON"))
    }
    try:
        words = [str(bazel), "build", *_OWN_RESULTS, *options, target]
        if termination.run(words, cwd=sources.folder, env=environment):
            raise UnreadableError(f"{target} does not build at revision {sources.revision}")
        yield sources.folder / "bazel-bin" / package / name
    except OSError as error:
        raise UnreadableError(
            f"revision {sources.revision} has no {bazel.name}: {error}"
        ) from error
    finally:
        if bazel.is_file():
            subprocess.run(
                [bazel, "clean", "--expunge"],
                cwd=sources.folder,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )


def git(folder: Path, *arguments: str) -> str:
    """What git prints; raises `CalledProcessError`."""
    return command.output(folder, *arguments).decode().strip()
