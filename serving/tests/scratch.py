"""Folders in memory, for programs that write a thousand files which nobody misses.

To make a file on a disk from which others were just removed can take longer than to write it: ext4
looks for a number that was not in use within the last minute.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

MEMORY = Path("/dev/shm")
# Several at a time, each of some fifty MB.
_FREE_BYTES = 1 << 30
_PREFIX = "scratch-"
_LOCK = "lock"


@contextlib.contextmanager
def folder(memory: Path = MEMORY) -> Iterator[Path]:
    """A folder in memory where there is room for it, else below `TEST_TMPDIR`.

    Somebody who is killed leaves his behind: whoever comes next removes it.
    """
    if not _has_room(memory):
        with tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR")) as name:
            yield Path(name)
        return
    _remove_left_ones(memory)
    # Under another name until it is locked: nobody takes it for one that was left.
    made = Path(tempfile.mkdtemp(prefix="new-", dir=memory))
    with (made / _LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        held = made.rename(memory / f"{_PREFIX}{made.name}")
        try:
            inner = held / "folder"
            inner.mkdir()
            held.chmod(0o711)
            yield inner
        finally:
            shutil.rmtree(held, ignore_errors=True)


def _has_room(memory: Path) -> bool:
    try:
        found = os.statvfs(memory)
    except FileNotFoundError:
        return False
    return found.f_bavail * found.f_frsize >= _FREE_BYTES and os.access(memory, os.W_OK)


def _remove_left_ones(memory: Path) -> None:
    for path in memory.glob(f"{_PREFIX}*/{_LOCK}"):
        # Somebody else's, or just removed by him, or held.
        with contextlib.suppress(OSError), path.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)
