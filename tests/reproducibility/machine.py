"""Machines unlike this one, made of users, namespaces, control groups and other builder roots.

Nothing of them outlives the matrix: mounts are in a namespace of their own, which ends with it.
"""

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.reproducibility.variations import Machine

# Bytes: less than the server, one compiler and all that they read take together.
MEMORY = 1_400_000_000
# Of nobody in /etc/passwd.
USER = 4242
_AHEAD = "+3650d"
_PRELOADED = "usr/lib/libfaketime.so"
_CGROUPS = Path("/sys/fs/cgroup")
_SECONDS = 30.0
_TMPFS = "3g"
_DISORDERFS = "disorderfs --quiet --multi-user=yes --shuffle-dirents=yes"
# What each is given on top, to pack otherwise and yet unpack what others packed.
_PACKERS = {"bzip2": "-1", "gzip": "-1", "xz": "-0", "zstd": "-1"}
_PACKER = """#!/bin/sh
exec /usr/bin/{name}.real {option} "$@"
"""
_ZLIB = """\
import zlib
_compress, _compressobj = zlib.compress, zlib.compressobj
zlib.compress = lambda data, level=1, *a, **k: _compress(data, 1, *a, **k)
zlib.compressobj = lambda level=1, *a, **k: _compressobj(1, *a, **k)
"""


class LackError(Exception):
    """The machine cannot be made here; the text says what is missing."""


@dataclass(frozen=True)
class Place:
    """Where a machine is made.

    `cache` is the folder of caches that builder root and downloads are in, `key` the name of the
    root there (empty where Bazel is not this repository's own), `faketime` the folder of Debian's
    package libfaketime.
    """

    scratch: Path
    cache: Path
    key: str
    faketime: Path

    @property
    def builder(self) -> Path:
        """The builder root; raises `LackError` where there is none."""
        root = self.cache / "bazel-debian/builder" / self.key
        if not self.key or not root.is_dir():
            raise LackError("it takes a builder root, and this Bazel runs without one")
        return root


def _same(path: Path) -> Path:
    return path


def _nothing(path: Path) -> None:
    del path


@dataclass(frozen=True)
class Made:
    """A machine: commands are put behind `command(folder)`, and start in that folder.

    `folder` is where checkout and output base have to be, `view` how this process sees a path of
    the machine's, `own` gives a tree to the machine's user. `note` says what it is less than it
    might be.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    command: Callable[[Path], Sequence[str]] = lambda _: ()
    view: Callable[[Path], Path] = _same
    own: Callable[[Path], None] = _nothing
    note: str = ""


def make(machine: Machine, place: Place) -> AbstractContextManager[Made]:
    """A machine, for as long as the context; raises `LackError`."""
    return _MACHINES[machine](place)


@contextmanager
def _this(place: Place) -> Iterator[Made]:
    yield Made(place.scratch)


@contextmanager
def _user(place: Place) -> Iterator[Made]:
    home = place.scratch / "home of a user"
    home.mkdir()
    cache = _private_cache(place, downloads=True)
    for folder in (home, cache):
        _give(folder)
    # The scratch folder is for its owner alone, who is another one.
    mode = place.scratch.stat().st_mode
    place.scratch.chmod(0o711)
    space = place.scratch / "space of a user"
    space.mkdir()
    os.chown(space, USER, USER)
    words = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--")
    try:
        yield Made(
            space,
            # Bazel looks for a name, and no user database has one.
            {"HOME": str(home), "XDG_CACHE_HOME": str(cache), "USER": "another"},
            command=lambda _: words,
            own=_give,
        )
    finally:
        place.scratch.chmod(mode & 0o777)
        for folder in (home, cache, space):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _clock(place: Place) -> Iterator[Made]:
    found = sorted(place.faketime.rglob("libfaketimeMT.so.1"))
    if not found:
        raise LackError(f"no libfaketimeMT.so.1 below {place.faketime}")
    cache = _private_cache(place)
    root = cache / "bazel-debian/builder" / place.key
    shutil.copyfile(found[0], root / _PRELOADED)
    (root / _PRELOADED).chmod(0o755)
    # By files, since variables do not reach actions.
    (root / "etc/ld.so.preload").write_text(f"/{_PRELOADED}\n")
    (root / "etc/faketimerc").write_text(f"{_AHEAD}\n")
    _moved(root)
    try:
        # Java waits for points in time, and for ever where the clock is not the kernel's.
        yield Made(
            place.scratch,
            {"XDG_CACHE_HOME": str(cache), "FAKETIME_SKIP_CMDS": "bazel(checkout),java"},
        )
    finally:
        shutil.rmtree(cache, ignore_errors=True)


def _moved(root: Path) -> None:
    """Makes sure that the library works with the C library of the root."""
    loader = next(root.glob("usr/lib*/ld-linux-*.so.*"), None)
    libraries = ":".join(str(folder) for folder in root.glob("usr/lib/*-linux-gnu"))
    command = [str(loader), "--library-path", libraries, "--preload", str(root / _PRELOADED)]
    done = subprocess.run(
        [*command, str(root / "usr/bin/date"), "+%s"],
        env={"FAKETIME": _AHEAD},
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.stdout.strip().isdigit() or int(done.stdout) < time.time() + 365 * 24 * 3600:
        raise LackError(f"libfaketime does not move the builder root's clock: {done.stderr}")


@contextmanager
def _tools(place: Place) -> Iterator[Made]:
    cache = _private_cache(place)
    try:
        root = cache / "bazel-debian/builder" / place.key
        for name, option in _PACKERS.items():
            program = root / "usr/bin" / name
            if not program.exists():
                continue
            program.rename(program.with_name(f"{name}.real"))
            program.write_text(_PACKER.format(name=name, option=option))
            program.chmod(0o755)
        for library in root.glob("usr/lib/python3.*"):
            # Ubuntu and Debian link it to a file of /etc; a write must not go through a link.
            site = library / "sitecustomize.py"
            site.unlink(missing_ok=True)
            site.write_text(_ZLIB)
        yield Made(place.scratch, {"XDG_CACHE_HOME": str(cache)})
    finally:
        shutil.rmtree(cache, ignore_errors=True)


@contextmanager
def _memory(place: Place) -> Iterator[Made]:
    second = (_CGROUPS / "cgroup.controllers").exists()
    group = (_CGROUPS if second else _CGROUPS / "memory") / place.scratch.name
    try:
        group.mkdir()
        (group / ("memory.max" if second else "memory.limit_in_bytes")).write_text(f"{MEMORY}\n")
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        raise LackError(f"no control group with a limit of memory: {error}") from error
    join = f'echo 0 > "{group}/cgroup.procs" && exec "$@"'
    try:
        yield Made(place.scratch, command=lambda _: ("sh", "-c", join, "sh"))
    finally:
        # Bazel's server has been told to end.
        deadline = time.monotonic() + _SECONDS
        while group.is_dir() and time.monotonic() < deadline:
            try:
                group.rmdir()
            except OSError:
                time.sleep(0.1)


@contextmanager
def _shuffled(place: Place) -> Iterator[Made]:
    under, point = place.scratch / "under", place.scratch / "mounted"
    under.mkdir()
    point.mkdir()
    lacking = without_disorderfs()
    over = "mount --bind" if lacking else _DISORDERFS
    # It lives for as long as its standard input is open, that is as this process.
    shell = (
        f'mount -t tmpfs -o size={_TMPFS},mode=711 matrix "$0" && {over} "$0" "$1" && '
        'echo ready && cat; umount -l "$1"; umount -l "$0"'
    )
    holder = subprocess.Popen(
        [
            *("unshare", "--mount", "--propagation", "private"),
            *("sh", "-c", shell, str(under), str(point)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        said = holder.stdout.readline()
        if said != "ready\n":
            raise LackError(f"{point}: cannot be mounted: {(said + holder.stdout.read())[:500]}")
        pid = str(holder.pid)

        def enter(folder: Path) -> Sequence[str]:
            start = ("sh", "-c", 'cd "$0" && exec "$@"', str(folder))
            return ("nsenter", "--mount", f"--target={pid}", *start)

        yield Made(
            point,
            command=enter,
            view=lambda path: Path(f"/proc/{pid}/root{path}"),
            note=f"{lacking}: the order is that of a tmpfs, newest first" if lacking else "",
        )
    finally:
        holder.stdin.close()
        holder.stdout.close()
        holder.wait()
        for folder in (under, point):
            shutil.rmtree(folder, ignore_errors=True)


def without_disorderfs() -> str:
    """What disorderfs lacks to shuffle folders; empty where it can."""
    if shutil.which("disorderfs") is None:
        return "disorderfs is missing (on Debian: apt-get install disorderfs)"
    if not Path("/dev/fuse").exists():
        return "disorderfs needs FUSE, and there is no /dev/fuse"
    return ""


def _private_cache(place: Place, *, downloads: bool = False) -> Path:
    """A cache folder whose builder root can be changed; the files of the root itself cannot.

    Downloads are those of the shared one, or copies of them.
    """
    cache = place.scratch / "cache"
    mine, shared = cache / "bazel-debian", place.cache / "bazel-debian"
    (mine / "builder").mkdir(parents=True)
    (mine / "output/cache").mkdir(parents=True)
    links = "--link" if place.builder.stat().st_dev == mine.stat().st_dev else "--reflink=auto"
    command = ["cp", "--archive", links, str(place.builder), str(mine / "builder")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LackError(f"the builder root cannot be copied: {done.stderr[-500:]}")
    for name in ("wheels", "output/cache/repos"):
        if downloads:
            shutil.copytree(shared / name, mine / name, symlinks=True)
        else:
            (mine / name).symlink_to(shared / name)
    return cache


def _give(folder: Path) -> None:
    """Gives a tree to the user, less the builder root, whose files are also another's."""
    os.chown(folder, USER, USER)
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(path, name), USER, USER, follow_symlinks=False)
        if path.endswith("/bazel-debian/builder"):
            folders.clear()


def root_key(output: Path) -> str:
    """The name of the builder root that the server of an output base runs in, if it is in one."""
    try:
        line = (output / "server/cmdline").read_text(errors="replace")
    except OSError:
        return ""
    found = re.search(r"-Dbuilder\.root=([0-9a-f]+)", line)
    return found[1] if found else ""


_MACHINES: Mapping[Machine, Callable[[Place], AbstractContextManager[Made]]] = {
    Machine.SAME: _this,
    Machine.USER: _user,
    Machine.CLOCK: _clock,
    Machine.TOOLS: _tools,
    Machine.MEMORY: _memory,
    Machine.SHUFFLED: _shuffled,
}
