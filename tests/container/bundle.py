"""What an OCI runtime is told (OCI runtime-spec 1.2, config.md): an image, how it is confined."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.container.cgroups import Limits
from tests.oci.layout import Configuration

_MIB = 1024 * 1024
_CPU_PERIOD = 100_000
_CAPABILITY_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")

# As containerd's and CRI-O's defaults have them.
_MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True)
class Mount:
    """A file or folder of this machine in the container."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class SecurityContext:
    """How a container is confined; the defaults are Kubernetes' "restricted" and then some.

    `user` is "UID:GID", the image's own by default. `tmpfs` gives sizes in bytes by path.
    `seccomp` is a profile's content in the runtime's own terms; None confines nothing. `apparmor`
    is the name of a profile that the kernel has; "" is none. `masked` hides what of /proc and /sys
    a container has no business with (Kubernetes' `procMount: Default`).
    """

    user: str = ""
    read_only_root: bool = True
    capabilities: Sequence[str] = ()
    no_new_privileges: bool = True
    seccomp: Mapping[str, Any] | None = None
    apparmor: str = ""
    masked: bool = True
    tmpfs: Mapping[str, int] = field(default_factory=lambda: {"/tmp": 64 * _MIB})


def seccomp(file: Path) -> Mapping[str, Any]:
    """A profile as Docker, containerd and Kubernetes' `localhostProfile` read it.

    Raises `ValueError` for a key that the runtime would not get to see.
    """
    profile: dict[str, Any] = json.loads(file.read_text())
    known = {"defaultAction", "defaultErrnoRet", "architectures", "syscalls"}
    if unknown := sorted(profile.keys() - known):
        raise ValueError(f"{file}: expected only {sorted(known)}, got also {unknown}")
    return profile


def config(
    image: Configuration,
    rootfs: Path,
    context: SecurityContext,
    *,
    arguments: Sequence[str] | None = None,
    entrypoint: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
    mounts: Sequence[Mount] = (),
    limits: Limits | None = None,
    cgroups_path: str = "",
    hostname: str = "container",
) -> dict[str, Any]:
    """The content of config.json.

    `entrypoint` and `arguments` stand in for the image's entry point and command, as `command` and
    `args` do in Kubernetes. The network is that of the caller. Raises `ValueError` for a user that
    is not "UID:GID".
    """
    uid, colon, gid = (context.user or image.user).partition(":")
    if not (colon and uid.isdigit() and gid.isdigit()):
        raise ValueError(f"expected a user UID:GID, got {context.user or image.user!r}")
    if entrypoint is None:
        words = [*image.entrypoint, *(image.command if arguments is None else arguments)]
    else:
        words = [*entrypoint, *(arguments or ())]
    capabilities = sorted(context.capabilities)
    process: dict[str, Any] = {
        "terminal": False,
        "user": {"uid": int(uid), "gid": int(gid)},
        "args": words,
        "env": [
            f"{name}={value}"
            for name, value in {**image.environment, **(environment or {})}.items()
        ],
        "cwd": image.working_directory,
        "capabilities": dict.fromkeys(_CAPABILITY_SETS, capabilities),
        "noNewPrivileges": context.no_new_privileges,
        **({"apparmorProfile": context.apparmor} if context.apparmor else {}),
    }
    linux: dict[str, Any] = {
        "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "cgroup")],
        "maskedPaths": list(_MASKED) if context.masked else [],
        "readonlyPaths": list(_READ_ONLY) if context.masked else [],
    }
    if context.seccomp is not None:
        linux["seccomp"] = context.seccomp
    if limits is not None:
        linux["cgroupsPath"] = cgroups_path
        linux["resources"] = _resources(limits)
    return {
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": str(rootfs), "readonly": context.read_only_root},
        "hostname": hostname,
        "mounts": [*_KERNEL_MOUNTS, *_tmpfs(context.tmpfs), *map(_bind, mounts)],
        "linux": linux,
    }


def _resources(limits: Limits) -> dict[str, Any]:
    resources: dict[str, Any] = {}
    if limits.memory is not None:
        # Equal: no swap.
        resources["memory"] = {"limit": limits.memory, "swap": limits.memory}
    if limits.cpus is not None:
        resources["cpu"] = {"quota": round(limits.cpus * _CPU_PERIOD), "period": _CPU_PERIOD}
    if limits.pids is not None:
        resources["pids"] = {"limit": limits.pids}
    return resources


def _mount(target: str, kind: str, options: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": kind, "options": options.split(",")}


_KERNEL_MOUNTS = [
    _mount("/proc", "proc", "nosuid,noexec,nodev"),
    _mount("/dev", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
    _mount("/dev/pts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620"),
    _mount("/dev/shm", "tmpfs", "nosuid,noexec,nodev,mode=1777,size=65536k"),
    _mount("/dev/mqueue", "mqueue", "nosuid,noexec,nodev"),
    _mount("/sys", "sysfs", "nosuid,noexec,nodev,ro"),
]


def _tmpfs(sizes: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        _mount(target, "tmpfs", f"nosuid,nodev,noexec,mode=1777,size={size}")
        for target, size in sorted(sizes.items())
    ]


def _bind(mount: Mount) -> dict[str, Any]:
    options = ["rbind", "nosuid", "nodev", *(["ro"] if mount.read_only else [])]
    return {
        "destination": mount.target,
        "type": "bind",
        "source": str(mount.source),
        "options": options,
    }
