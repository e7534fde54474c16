"""The bubblewrap command line that lays the person's files over the builder root."""

import os
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

# These come from the builder root or the kernel; every other folder of / is the person's.
_SYSTEM = frozenset(
    {"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "lost+found", "proc"}
    | {"run", "sbin", "sys", "usr", "var"}
)
_LINKS = ("bin", "lib", "lib64", "sbin")


def arguments(root: Path, folders: Sequence[Path]) -> list[str]:
    """Arguments of bwrap, up to the command to run.

    `folders` are there under their own names even where they lie below a system folder.
    """
    args = ["--tmpfs", "/"]
    for name in ("usr", "etc", "var"):
        args += ["--ro-bind", f"{root}/{name}", f"/{name}"]
    for name in _LINKS:
        if (root / name).is_symlink():
            args += ["--symlink", str((root / name).readlink()), f"/{name}"]
    # The kernel's own folders stay the host's: Bazel's linux-sandbox mounts /proc anew only
    # where it can see all of it, and runc writes below /sys/fs/cgroup.
    args += ["--dev-bind", "/dev", "/dev", "--bind", "/proc", "/proc", "--bind", "/sys", "/sys"]
    args += ["--tmpfs", "/run", "--tmpfs", "/var/tmp"]
    for entry in sorted(Path("/").iterdir()):
        if entry.name in _SYSTEM:
            continue
        if entry.is_symlink():
            args += ["--symlink", str(entry.readlink()), str(entry)]
        elif entry.is_dir():
            args += ["--bind", str(entry), str(entry)]
    for name in (*OVERLAID_FILES, *OVERLAID_FOLDERS):
        # resolv.conf is often a link into /run, which is not carried over.
        source = Path("/", name).resolve()
        if source.exists():
            args += ["--ro-bind", str(source), f"/{name}"]
    for folder in folders:
        args += ["--bind", str(folder), str(folder)]
    if os.geteuid() == 0:
        args += ["--cap-add", "ALL"]
    return [*args, "--chdir", str(Path.cwd())]
