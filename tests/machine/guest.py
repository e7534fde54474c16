"""Process 1 of the virtual machine: makes it a Linux system, runs the tests, switches it off."""

import ctypes
import os
import sys
import termios
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from tests.container import kernel
from tests.machine.job import EXIT_CODE, IMAGES, RESULTS, STARTED, Job

_FLAGS = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
_POWER_OFF = 0x4321FEDC


def run(file: Path, main: Callable[[], int]) -> NoReturn:
    """Does a job: `main` gives its exit code. Never returns: process 1 must not end."""
    code = 1
    try:
        _plain_console()
        _mount()
        STARTED.touch()
        job = Job.read(file)
        kernel.mount("tmpfs", job.scratch, "tmpfs", data="mode=1777")
        os.environ.clear()
        os.environ.update(job.environment)
        os.chdir(job.folder)
        sys.argv[1:] = job.arguments
        code = main()
    except BaseException:  # noqa: BLE001 - process 1 must not end, whatever was raised
        traceback.print_exc()
    finally:
        _end(code)


def _mount() -> None:
    """What an init system mounts before anything else, /dev excepted, which the kernel mounts."""
    kernel.mount("proc", "/proc", "proc", _FLAGS)
    kernel.mount("sysfs", "/sys", "sysfs", _FLAGS)
    kernel.mount("securityfs", "/sys/kernel/security", "securityfs", _FLAGS)
    kernel.mount("cgroup2", "/sys/fs/cgroup", "cgroup2", _FLAGS)
    kernel.mount("tmpfs", "/run", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
    for name, kind, data in (("pts", "devpts", "mode=620,ptmxmode=666"), ("shm", "tmpfs", "")):
        Path("/dev", name).mkdir(exist_ok=True)
        kernel.mount(kind, f"/dev/{name}", kind, kernel.MS_NOSUID | kernel.MS_NOEXEC, data)
    for share, flags in ((RESULTS, _FLAGS), (IMAGES, kernel.MS_RDONLY)):
        share.mkdir()
        kernel.mount(share.name, str(share), "virtiofs", flags)
    # Every refusal is to be seen, however many there are at once.
    Path("/proc/sys/kernel/printk_ratelimit").write_text("0")


def _plain_console() -> None:
    """Has the console add no carriage returns: what is said there is a test's log."""
    settings = termios.tcgetattr(sys.stdout.fileno())
    settings[1] &= ~termios.OPOST
    termios.tcsetattr(sys.stdout.fileno(), termios.TCSANOW, settings)


def _end(code: int) -> NoReturn:
    try:
        EXIT_CODE.write_text(str(code))
        sys.stdout.flush()
        sys.stderr.flush()
        termios.tcdrain(1)
        os.sync()
    finally:
        ctypes.CDLL(None).reboot(_POWER_OFF)
        os._exit(code)
