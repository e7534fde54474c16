"""The bubblewrap command line that lays the person's files over the builder root."""

import fcntl
import math
import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

# Files of the host that the sandbox lays over the root's; a mount needs something to lie on.
OVERLAID_FILES = (
    "etc/group",
    "etc/hostname",
    "etc/hosts",
    "etc/netrc",
    "etc/passwd",
    "etc/pip.conf",
    "etc/resolv.conf",
    "etc/ssl/certs/ca-certificates.crt",
)
OVERLAID_FOLDERS = ("etc/apt", "etc/docker", "etc/containers", "etc/pip", "etc/xdg")

# Where Bazel finds the version that the Debian build leaves out of its jar.
LABEL = Path("usr/share/bazel-label")

# Where Bazel makes a folder for each action, with a link for each of its inputs: thousands for a
# test. It lies in the view's own /, which is in memory.
SANDBOXES = Path("/sandboxes")
# Half of the memory is what a file system in memory may take (tmpfs(5)).
_MEMORY_BYTES = 8 << 30
# Limits of a container, by version 2 and version 1 of control groups (cgroups(7)).
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)

# These come from the builder root or the kernel; every other folder of / is the person's.
_SYSTEM = frozenset(
    {"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "lost+found", "proc"}
    | {"run", "sbin", "sys", "usr", "var"}
)
_KERNEL = frozenset({"dev", "proc", "sys"})
_LINKS = ("bin", "lib", "lib64", "sbin")

# Folders of the root that cannot be written; a mount in them needs a place to lie on.
_READ_ONLY = ("usr", "etc", "var")
# Empty and writable, so that anything can be mounted below.
_SCRATCH = (Path("/run"), Path("/var/tmp"))

# linux/sockios.h and linux/if.h.
_SIOCGIFFLAGS = 0x8913
_IFF_UP = 1


def loopback_is_up() -> bool:
    """Whether this network namespace's loopback interface is up (netdevice(7))."""
    request = struct.pack("16sH14x", b"lo", 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            answer = fcntl.ioctl(control, _SIOCGIFFLAGS, request)
        except OSError:
            return False
    return bool(struct.unpack("16sH14x", answer)[1] & _IFF_UP)


def in_memory() -> bool:
    """Whether actions can have their folders in SANDBOXES.

    Not with less than 8 GiB, and not where the machine has such a folder: a builder root within
    another one sees the outer one's, which is not its own to write.
    """
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    memory = min([total, *map(_limit, _LIMITS)])
    return memory >= _MEMORY_BYTES and not SANDBOXES.exists()


def _limit(file: Path) -> float:
    """What a file of a control group allows, in bytes."""
    try:
        return float(file.read_text().replace("max", "inf"))
    except OSError:
        return math.inf


def arguments(root: Path, folders: Sequence[Path], working: Path) -> list[str]:
    """Arguments of bwrap, up to the command to run.

    `folders` are there under their own names even where they lie below a system folder; those
    that are system folders themselves stay the root's. The command starts in `working`, or in /
    where that is not to be seen.
    """
    places = _places(root, folders)
    opened = sorted({parent for place in places if (parent := _parent(root, place))})
    args = _base(root)
    for folder in opened:
        args += _open(root, folder)
    for name in (*OVERLAID_FILES, *OVERLAID_FOLDERS):
        # resolv.conf is often a link into /run, which is not carried over.
        source = Path("/", name).resolve()
        if source.exists():
            args += ["--ro-bind", str(source), f"/{name}"]
    for place, folder in sorted(places.items()):
        args += ["--bind", str(folder), str(place)]
    for folder in opened:
        args += ["--remount-ro", str(folder)]
    if os.geteuid() == 0:
        args += ["--cap-add", "ALL"]
    seen = visible(root, working) or any(working.is_relative_to(place) for place in places)
    return [*args, "--chdir", str(working if seen else "/")]


def _base(root: Path) -> list[str]:
    """The root's system folders, the kernel's, and every other folder of the machine's /."""
    args = ["--tmpfs", "/"]
    for name in _READ_ONLY:
        args += ["--ro-bind", f"{root}/{name}", f"/{name}"]
    for name in _LINKS:
        if (root / name).is_symlink():
            args += ["--symlink", str((root / name).readlink()), f"/{name}"]
    # The kernel's own folders stay the host's: Bazel's linux-sandbox mounts /proc anew only
    # where it can see all of it, and runc writes below /sys/fs/cgroup.
    args += ["--dev-bind", "/dev", "/dev", "--bind", "/proc", "/proc", "--bind", "/sys", "/sys"]
    for folder in _SCRATCH:
        args += ["--tmpfs", str(folder)]
    for entry in sorted(Path("/").iterdir()):
        if entry.name in _SYSTEM:
            continue
        if entry.is_symlink():
            args += ["--symlink", str(entry.readlink()), str(entry)]
        elif entry.is_dir():
            args += ["--bind", str(entry), str(entry)]
    return [*args, "--dir", str(SANDBOXES)]


def visible(root: Path, folder: Path) -> bool:
    """Whether a folder is to be seen without being mounted on purpose."""
    return not _below_system(folder) or _within(root, folder).is_dir()


def _below_system(folder: Path) -> bool:
    return folder.parts[1:2] != () and folder.parts[1] in _SYSTEM - _KERNEL


def _within(root: Path, folder: Path) -> Path:
    """Where a folder of the view lies on the host, when only the root's own links count."""
    return root / _followed(root, folder).relative_to("/")


def _followed(root: Path, folder: Path) -> Path:
    """A folder's name in the view without the links that the root has on the way."""
    parts, place = list(folder.parts[1:]), Path("/")
    while parts:
        part = parts.pop(0)
        inside = root / (place / part).relative_to("/")
        if inside.is_symlink():
            target = Path(os.path.normpath(place / inside.readlink()))
            parts, place = [*target.parts[1:], *parts], Path("/")
        else:
            place /= part
    return place


def _places(root: Path, folders: Sequence[Path]) -> dict[Path, Path]:
    """What to mount, by place: folders below system folders, under each of their names."""
    found: dict[Path, Path] = {}
    for folder in folders:
        real = folder.resolve()
        for name in (folder, real):
            if _below_system(name) and not system(root, name):
                found[_followed(root, name)] = real
    return found


def system(root: Path, folder: Path) -> bool:
    """Whether a folder is one of the root's own, whose contents a mount would hide."""
    if len(folder.parts) > 1 and not _below_system(folder):
        return False
    place = _followed(root, folder)
    if len(place.parts) < 3:
        return True
    # Nothing that runs in the root reads below /var.
    inside = root / place.relative_to("/")
    return place.parts[1] != "var" and inside.is_dir() and any(inside.iterdir())


def _parent(root: Path, place: Path) -> Path | None:
    """The folder of the root in which the way to a place has to be made; None where there is none.

    bwrap makes missing folders, but not in one that is mounted read-only.
    """
    if place.parts[1] not in _READ_ONLY or any(place.is_relative_to(free) for free in _SCRATCH):
        return None
    if (root / place.relative_to("/")).is_dir():
        return None
    return next(parent for parent in place.parents if (root / parent.relative_to("/")).is_dir())


def _open(root: Path, folder: Path) -> list[str]:
    """Lays a folder of the root out anew, entry by entry, so that others can be added."""
    args = ["--tmpfs", str(folder)]
    for entry in sorted((root / folder.relative_to("/")).iterdir()):
        place = folder / entry.name
        if entry.is_symlink():
            args += ["--symlink", str(entry.readlink()), str(place)]
        elif place not in _SCRATCH and (entry.is_dir() or entry.is_file()):
            args += ["--ro-bind", str(entry), str(place)]
    for scratch in _SCRATCH:
        if scratch.parent == folder:
            args += ["--tmpfs", str(scratch)]
    return args
