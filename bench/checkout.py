"""A scratch copy of the workspace, and the Bazel that builds it."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from bench.commands import BenchError, run
from bench.scratch import remove


def copy(workspace: Path, target: Path) -> None:
    """Copies what git would commit.

    Raises:
        BenchError: the workspace is no git checkout.
    """
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = run(listing, folder=workspace)
    except BenchError as error:
        raise BenchError(f"{workspace}: git checkout expected: {error}") from error
    for name in filter(None, listed.split("\0")):
        source, place = workspace / name, target / name
        # Else it is deleted, and not committed yet.
        if source.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place, follow_symlinks=False)


class Checkout:
    """A copy in `folder`, and an output base of its own beside it. `end` has to be called."""

    def __init__(self, folder: Path, *, startup: Sequence[str] = ()) -> None:
        """Takes a copy that is there, or will be; `startup` are more startup options of Bazel."""
        self.folder = folder
        self._output = folder.with_name(f"{folder.name}-output")
        # Others have their turn meanwhile. A server that nobody could end does so by itself.
        self._startup = [f"--output_base={self._output}", "--max_idle_secs=900", *startup]

    def bazel(self, *arguments: str) -> str:
        """What a Bazel command prints; raises `BenchError` with its last lines if it fails."""
        return run(["tools/bazel", *self._startup, *arguments], folder=self.folder)

    def build(self, *targets: str) -> float:
        """Builds without a disk cache; returns the seconds that it took."""
        started = time.monotonic()
        self.bazel("build", "--disk_cache=", *targets)
        return time.monotonic() - started

    def clean(self) -> None:
        """Removes what was built; what was fetched stays."""
        self.bazel("clean")

    def end(self) -> None:
        """Ends the Bazel server, and removes all that it wrote."""
        if (self.folder / "tools/bazel").exists():
            try:
                self.bazel("shutdown")
            finally:
                remove(self._output)
