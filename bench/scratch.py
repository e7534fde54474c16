"""A folder that a bench works in; nothing of it is left, however the bench ends."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def scratch(name: str, place: Path | None = None) -> Iterator[Path]:
    """An empty folder `NAME-PID-...`, removed at the end.

    Folders of runs that were killed at once, and could remove nothing, are removed on the way.

    Args:
        name: of the bench.
        place: where the folder is made; the folder for temporary files by default.
    """
    place = place or Path(tempfile.gettempdir())
    sweep(name, place)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-{os.getpid()}-", dir=place))
    # A database or a service of another user looks for its files below.
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        remove(folder)


def sweep(name: str, place: Path) -> None:
    """Removes the folders of runs that are no more."""
    for folder in place.glob(f"{name}-*-*"):
        owner = folder.name.removeprefix(f"{name}-").partition("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            remove(folder)


def remove(folder: Path) -> None:
    """Removes a tree that may have folders without a write bit, as Bazel's outputs are."""
    for path, folders, _ in os.walk(folder):
        for name in folders:
            inner = Path(path, name)
            if not inner.is_symlink():
                with contextlib.suppress(OSError):
                    inner.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
