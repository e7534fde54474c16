"""Builds of an image under the locks that are there, and under others."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rules.update.error import RefusedError
from rules.update.locks import Lock
from tools.git import command as git
from tools.signals import termination

_ARCHITECTURES = ("amd64", "arm64")


def sboms(folder: Path) -> dict[str, Path]:
    """By CPU, where the SBOMs of a package's image are built in `bazel-bin`."""
    return {cpu: folder / f"sbom_{cpu}.spdx.json" for cpu in _ARCHITECTURES}


def build(workspace: Path, package: str) -> Path:
    """Builds a package's index and SBOMs; returns the folder that holds them.

    Raises:
        RefusedError: they do not build; what Bazel says is on standard error.
    """
    targets = [f"//{package}:index", f"//{package}:sbom"]
    bazel = workspace / "tools/bazel"
    try:
        # What it says goes to standard error: standard output is the table's.
        command = [str(bazel), "build", "--noshow_progress", *targets]
        code = termination.run(command, cwd=workspace, env=_environment())
    except OSError as error:
        raise RefusedError(f"{bazel} cannot be started: {error}") from None
    if code:
        raise RefusedError(f"{' '.join(targets)} do not build in {workspace}: see above")
    return workspace / "bazel-bin" / package


@contextmanager
def beside(workspace: Path, locks: Sequence[Lock]) -> Iterator[Path]:
    """A copy of the workspace with other locks, which is gone afterwards, its server too.

    Raises:
        RefusedError: it is no git checkout.
    """
    scratch = Path(tempfile.mkdtemp(prefix="image-update-"))
    copy = scratch / "checkout"
    try:
        for name in _files(workspace):
            source, target = workspace / name, copy / name
            if source.is_file() or source.is_symlink():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
        for lock in locks:
            (copy / lock.path).write_text(lock.text)
        yield copy
    finally:
        if (copy / "tools/bazel").is_file():
            subprocess.run(
                [copy / "tools/bazel", "clean", "--expunge"],
                cwd=copy,
                env=_environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
        shutil.rmtree(scratch, ignore_errors=True)


def _files(workspace: Path) -> list[str]:
    """What git would commit, and the person's own options of Bazel."""
    try:
        listed = git.output(
            workspace, "ls-files", "-z", "--cached", "--others", "--exclude-standard"
        )
    except FileNotFoundError:
        raise RefusedError("git is missing. On Debian: apt-get install git") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise RefusedError(f"{workspace} is no git checkout: {said}") from None
    return [*filter(None, os.fsdecode(listed).split("\0")), "user.bazelrc"]


def _environment() -> Mapping[str, str]:
    """The person's, less what `bazel run` gave to this program alone."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BUILD_", "RUNFILES", "PYTHON"))
    }
