"""Where a checkout keeps a service's database between runs: below the person's cache folder."""

import contextlib
import fcntl
import hashlib
import os
import pwd
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

_PATIENCE_SECONDS = 30.0


class FolderError(Exception):
    """The folder cannot be used; the text says why, and what to do."""


def place(environment: Mapping[str, str], workspace: Path, service: str) -> Path:
    """The folder of a service in a checkout (XDG Base Directory, section 3): no two share one."""
    base = environment.get("XDG_CACHE_HOME", "")
    if not base.startswith("/"):
        home = environment.get("HOME", "")
        if not home.startswith("/"):
            # Not Path.home(), to which an empty HOME is the root of the file system.
            home = pwd.getpwuid(os.getuid()).pw_dir
        base = f"{home}/.cache"
    key = hashlib.sha256(os.fsencode(workspace)).hexdigest()[:12]
    return Path(base, "bazel-dev", f"{workspace.name}-{key}", service)


class Folder:
    """The folder, which is this process' alone while it is open.

    Attributes:
        path: where it is.
        lock: the descriptor that holds the lock. A child that keeps it open keeps the folder.
    """

    def __init__(self, path: Path) -> None:
        """Makes the folder and locks it; raises `FolderError`.

        A run that was killed may have a database that is still being shut down: that is waited for.
        """
        self.path = path
        file = path / "lock"
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise FolderError(
                f"cannot write to the cache folder: {error.strerror}: {error.filename}. Set "
                "XDG_CACHE_HOME to a folder that you may write to"
            ) from None
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._locked():
            holder = os.pread(self.lock, 32, 0).decode(errors="replace").strip()
            if _is_alive(holder) or time.monotonic() > deadline:
                os.close(self.lock)
                raise FolderError(
                    f"{path} is in use by another //:dev, process {holder}. End that one; to have "
                    "two at once, start the other in another checkout (git worktree add)"
                )
            time.sleep(0.1)
        os.ftruncate(self.lock, 0)
        os.pwrite(self.lock, f"{os.getpid()}\n".encode(), 0)

    def begin_anew(self) -> None:
        """Removes the database; what a removal that broke off left, too."""
        try:
            self._remove_left_over()
            # Renamed first: half a database is never found in its place.
            with contextlib.suppress(FileNotFoundError):
                (self.path / "data").rename(self.path / "data.removed")
            self._remove_left_over()
        except OSError as error:
            raise FolderError(
                f"cannot remove the database: {error.strerror}: {error.filename}. Remove "
                f"{self.path} as its owner"
            ) from None

    def _remove_left_over(self) -> None:
        for left in self.path.glob("data.*"):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()

    def close(self) -> None:
        """Gives the folder up, but for children that keep it."""
        os.close(self.lock)

    def _locked(self) -> bool:
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
