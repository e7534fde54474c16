"""Removes all that Debian mode has put on a machine: `tools/bazel --uninstall`.

That is this project's cache folder (builder roots, downloads, Bazel's output), whose folders are
partly read-only, as Bazel leaves them, and the links `bazel-*` of the checkout into it.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import time
from pathlib import Path

from tools.debian.builder.error import BuilderError

_SERVER_SECONDS = 20.0
_UNIT = 10**6
_MOUNTS = Path("/proc/self/mounts")


def uninstall(cache: Path, checkout: Path) -> str:
    """Ends the Bazel servers of a cache folder, and removes it; returns what was done, in a line.

    Raises `BuilderError` while a builder root is being made, or where something is mounted below
    the folder; then nothing is removed.
    """
    links = [link for link in sorted(checkout.glob("bazel-*")) if _leads(link, cache)]
    if not cache.is_dir():
        for link in links:
            link.unlink()
        return f"{cache} does not exist: nothing to remove"
    place = cache.resolve()
    _refuse_mounts(place)
    _refuse_makers(place)
    for output in sorted((place / "output").glob("*/server/server.pid.txt")):
        _end(output)
    before = shutil.disk_usage(place).free
    # A root that is half removed must not be taken for a root, should this be interrupted.
    for folder in (place / "builder", place / "output"):
        if folder.is_dir():
            folder.replace(_beside(folder))
    _remove(place)
    if cache.is_symlink():
        cache.unlink()
    for link in links:
        link.unlink()
    freed = max(0, shutil.disk_usage(place.parent).free - before) // _UNIT
    return f"removed {cache}, {freed} MB"


def _beside(folder: Path) -> Path:
    """A name that nothing has, next to a folder's."""
    number = 0
    while (name := folder.with_name(f"{folder.name}.removed-{number}")).exists():
        number += 1
    return name


def _leads(link: Path, cache: Path) -> bool:
    """Whether something is a link into the cache folder, by either of that folder's names."""
    if not link.is_symlink():
        return False
    target = Path(os.path.normpath(link.parent / link.readlink()))
    return any(target.is_relative_to(name) for name in (cache, cache.resolve()))


def _refuse_mounts(place: Path) -> None:
    """Nothing is removed through a mount."""
    for line in _MOUNTS.read_text().splitlines():
        # Octal escapes stand for spaces and the like (fstab(5)).
        mount = line.split()[1].encode().decode("unicode_escape").encode("latin-1")
        if mount.startswith(os.fsencode(place) + b"/"):
            raise BuilderError(
                f"{os.fsdecode(mount)} is mounted; unmount what is below {place}, and try again"
            )


def _refuse_makers(place: Path) -> None:
    for lock in sorted((place / "builder").glob("*.lock")):
        with lock.open("rb") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BuilderError(
                    "another tools/bazel is making the builder root: wait for its end, or end it, "
                    "and try again"
                ) from None


def _end(pid_file: Path) -> None:
    """Ends the server of an output base, if the process of that number is one."""
    try:
        number = int(pid_file.read_text())
        command = Path(f"/proc/{number}/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    # The number may have gone to another process since.
    if os.fsencode(pid_file.parents[1].name) not in command or b"bazel" not in command:
        return
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, kind)
        deadline = time.monotonic() + _SERVER_SECONDS
        while time.monotonic() < deadline:
            if _ended(number):
                return
            time.sleep(0.05)
    raise BuilderError(f"the Bazel server, process {number}, does not end: end it, and try again")


def _ended(number: int) -> bool:
    try:
        # The state follows the name, which stands in parentheses (proc_pid_stat(5)).
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _remove(place: Path) -> None:
    """Removes a folder, with the folders in it that may not be written."""
    for folder, _, _ in os.walk(place):
        mode = os.lstat(folder).st_mode
        if not stat.S_IMODE(mode) & stat.S_IWUSR:
            Path(folder).chmod(stat.S_IMODE(mode) | stat.S_IRWXU)
    shutil.rmtree(place)
