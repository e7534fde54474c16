"""Boots a Debian kernel in a virtual machine that has this machine's files, and nothing else.

The kernel is started without firmware menus, disks or an initramfs: its root file system is this
machine's, shared read-only through virtiofs, so that every path means the same inside.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tests.container import kernel

KVM = Path("/dev/kvm")
# Where the kernel has it, KVM runs kernels that were made for it alone, and is slow to say so.
PVM = Path("/sys/module/kvm_pvm")
ROOT = "root"
# Taken from this machine as it is used; the tests unpack their images into it.
_MEMORY_MIB = 2048
_SOCKET_SECONDS = 10.0
# Time for the CPU to start the kernel; after it, software takes over.
_KVM_SECONDS = 30.0
_LOADER = "usr/lib64/ld-linux-x86-64.so.2"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"


class MachineError(Exception):
    """The virtual machine did not do what it should; the text says what was expected."""


class AccelerationError(MachineError):
    """The CPU is offered for virtual machines, and does not run this one."""


@dataclass(frozen=True)
class Share:
    """A folder of this machine that the virtual machine can mount by its tag.

    With `as_root`, what belongs to this process's user here belongs to root there.
    """

    tag: str
    folder: Path
    read_only: bool = True
    as_root: bool = False


def accelerator(device: Path = KVM, special: Path = PVM) -> str:
    """QEMU's name of what runs the virtual machine: the CPU itself (kvm), else software (tcg)."""
    return "kvm" if os.access(device, os.R_OK | os.W_OK) and not special.exists() else "tcg"


def command_line(init: Path, environment: Mapping[str, str]) -> str:
    """The kernel's parameters (kernel-parameters.txt); `environment` is that of process 1.

    Raises `ValueError` for what cannot stand in one.
    """
    given = [f"init={init}", *(f"{name}={value}" for name, value in environment.items())]
    if bad := [word for word in given if set(word) & set(' "\n')]:
        raise ValueError(f"expected no spaces or quotes in a kernel parameter, got {bad}")
    words = [
        f"root={ROOT} rootfstype=virtiofs ro devtmpfs.mount=1",
        # Notices and worse: AppArmor's refusals are among them, the drivers' greetings are not.
        "console=ttyS0 loglevel=6 printk.time=1",
        # Nobody else is on this processor, and they are dear where it is software.
        "mitigations=off",
        # A crash ends the virtual machine.
        "panic=-1 oops=panic",
        *given,
    ]
    line = " ".join(words)
    if len(line) >= 2048:
        raise ValueError(f"expected kernel parameters shorter than 2048, got {len(line)}")
    return line


def boot(
    tree: Path,
    init: Path,
    environment: Mapping[str, str],
    shares: Sequence[Share],
    *,
    acceleration: str,
    seconds: float,
    started: Callable[[], bool],
) -> None:
    """Runs a virtual machine until it switches itself off; what it says goes to standard output.

    `tree` has the kernel, QEMU and virtiofsd. Raises `MachineError` where one of them fails or
    the machine runs for longer than `seconds`, and `AccelerationError` where it is not even
    `started` because KVM cannot run it.
    """
    deadline = time.monotonic() + seconds
    # Names of sockets are limited to 107 bytes: these are relative to a folder of their own.
    with tempfile.TemporaryDirectory(prefix="machine-") as folder, contextlib.ExitStack() as stack:
        every = [Share(ROOT, Path("/")), *shares]
        daemons = [
            stack.enter_context(_running(_virtiofsd(tree, share), Path(folder))) for share in every
        ]
        _await_sockets(Path(folder), every, daemons)
        command = _qemu(tree, command_line(init, environment), every, acceleration)
        errors = stack.enter_context((Path(folder) / "errors").open("w+"))
        qemu = stack.enter_context(_running(command, Path(folder), errors))
        if acceleration == "kvm":
            _await_start(qemu, Path(errors.name), started)
        try:
            code = qemu.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise MachineError(
                f"the virtual machine ({acceleration}) was expected to end within {seconds:.0f} s, "
                "and was stopped. What it said last is above; --test_timeout=SECONDS gives it more"
            ) from None
        if code != 0:
            raise MachineError(f"qemu ended with {code}: {Path(errors.name).read_text()}")


def _await_start(
    qemu: "subprocess.Popen[bytes]", errors: Path, started: Callable[[], bool]
) -> None:
    """Raises `AccelerationError` unless KVM runs the kernel.

    Where this machine is itself a virtual one, /dev/kvm may be there and run only kernels that
    were made for it; QEMU then stops the machine, and waits for somebody to look at it.
    """
    deadline = time.monotonic() + _KVM_SECONDS
    while not started():
        said = errors.read_text()
        if qemu.poll() not in {None, 0} or "KVM internal error" in said:
            raise AccelerationError(f"KVM cannot run the kernel: {said.partition('\n')[0]}")
        if time.monotonic() > deadline:
            raise AccelerationError(f"KVM did not start the kernel within {_KVM_SECONDS:.0f} s")
        if qemu.poll() == 0:
            return
        time.sleep(0.05)


def _program(tree: Path, path: str) -> list[str]:
    """Starts a program of the tree with the tree's own libraries."""
    loader = tree / _LOADER
    program = tree / path
    for file in (loader, program):
        if not file.exists():
            raise MachineError(f"{file} is missing: {tree} was expected to hold a virtual machine")
    return [
        str(loader), "--argv0", str(program), "--library-path", str(tree / _LIBRARIES),
        str(program),
    ]  # fmt: skip


def _virtiofsd(tree: Path, share: Share) -> list[str]:
    return [
        *_program(tree, "usr/libexec/virtiofsd"),
        f"--socket-path={share.tag}.socket",
        f"--shared-dir={share.folder}",
        # A namespace of its own would take rights that an ordinary user has not.
        "--sandbox=none",
        "--log-level=error",
        # What is read-only does not change while the machine runs.
        *(["--readonly", "--cache=always"] if share.read_only else ["--cache=auto"]),
        *_translation(share),
    ]


def _translation(share: Share) -> list[str]:
    if not share.as_root or os.geteuid() == 0:
        return []
    return [
        f"--translate-uid=host:{os.geteuid()}:0:1",
        f"--translate-gid=host:{os.getegid()}:0:1",
    ]


def _qemu(tree: Path, parameters: str, shares: Sequence[Share], acceleration: str) -> list[str]:
    kernels = sorted((tree / "boot").glob("vmlinuz-*"))
    if len(kernels) != 1:
        raise MachineError(f"expected one kernel in {tree}/boot, got {kernels}")
    devices = [
        option
        for share in shares
        for option in (
            "-chardev", f"socket,id={share.tag},path={share.tag}.socket",
            "-device", f"vhost-user-fs-pci,chardev={share.tag},tag={share.tag}",
        )
    ]  # fmt: skip
    return [
        *_program(tree, "usr/bin/qemu-system-x86_64"),
        "-L", f"{tree}/usr/share/qemu", "-L", f"{tree}/usr/share/seabios",
        "-machine", "q35,memory-backend=memory", "-accel", acceleration,
        "-cpu", _processor(acceleration),
        "-smp", str(_processors(acceleration)), "-m", str(_MEMORY_MIB),
        # Shared with virtiofsd.
        "-object", f"memory-backend-memfd,id=memory,size={_MEMORY_MIB}M,share=on",
        # No network, no disk, no screen, no devices but those named.
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-nic", "none",
        "-serial", "stdio",
        "-kernel", str(kernels[0]), "-append", parameters,
        *devices,
    ]  # fmt: skip


def _processor(acceleration: str) -> str:
    # Some hypervisors, themselves virtual, report this register and refuse to set it.
    model = "max,arch-capabilities=off"
    # Software takes longer over wide registers than over many narrow ones: glibc's string functions
    # choose by what there is, and starting a service took an eighth less of this machine's time.
    return f"{model},avx=off,avx2=off" if acceleration == "tcg" else model


def _processors(acceleration: str) -> int:
    """How many the virtual machine has.

    Software that stands for two has to keep their views of memory in order: starting programs took
    a third more of this machine's time, and the tests do little at once.
    """
    return 1 if acceleration == "tcg" else min(2, os.cpu_count() or 1)


def _die_with_parent() -> None:
    kernel.die_with_parent(signal.SIGKILL)


@contextlib.contextmanager
def _running(
    command: list[str], folder: Path, errors: TextIO | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that ends with this block, or with this process, at the latest."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stderr=errors,
        preexec_fn=_die_with_parent,  # noqa: PLW1509  (it only makes a system call)
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _await_sockets(
    folder: Path, shares: Sequence[Share], daemons: Sequence["subprocess.Popen[bytes]"]
) -> None:
    deadline = time.monotonic() + _SOCKET_SECONDS
    for share, daemon in zip(shares, daemons, strict=True):
        while not (folder / f"{share.tag}.socket").exists():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise MachineError(
                    f"virtiofsd was expected to share {share.folder}, and ended with "
                    f"{daemon.poll()}; what it said is above"
                )
            time.sleep(0.01)


def copy_out(source: Path, target: Path) -> None:
    """Copies a result to where Bazel looks for it; one that is missing is not copied."""
    if source.exists():
        shutil.copyfile(source, target)
