"""A place of its own for a test: nothing that happens in it outlives it.

The processes, mounts and network interfaces of a test live in namespaces that the kernel takes
down with the last process, however that ends.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests.container import kernel
from tests.container.needs import NeedError

_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_IFF_UP = 1
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# How long a test may take to clean up after SIGTERM before it is killed.
_GRACE_SECONDS = 5


@dataclass(frozen=True)
class Identity:
    """Who runs the tests: `root` has every user id, an ordinary user only their own.

    `process` is the id, outside, of the process that waits for the tests.
    """

    root: bool
    user: int
    process: int

    def dumps(self) -> str:
        """For an environment variable."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> "Identity":
        """What `dumps` gave."""
        return cls(**json.loads(text))


def inside(main: Callable[[Identity], int]) -> int:
    """Runs `main` as process 1 of new namespaces and returns its exit code.

    Root gets new PID, mount, network and IPC namespaces; an ordinary user a user namespace, in
    which they are root, around them. The loopback interface is up. Raises `NeedError`.
    """
    identity = Identity(os.geteuid() == 0 and _has_every_id(), os.getuid(), os.getpid())
    flags = os.CLONE_NEWPID | os.CLONE_NEWNS | os.CLONE_NEWNET | os.CLONE_NEWIPC
    user, group = os.geteuid(), os.getegid()
    try:
        os.unshare(flags if identity.root else flags | os.CLONE_NEWUSER)
    except OSError as error:
        raise NeedError(_refused(identity, error)) from error
    if not identity.root:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    # Until both processes know what to do with it, a signal waits.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    child = os.fork()
    if child == 0:
        _begin(main, identity, mask)
    return _wait(child, mask)


def _has_every_id() -> bool:
    """Whether this user namespace has ids other than the caller's (user_namespaces(7))."""
    lines = Path("/proc/self/uid_map").read_text().splitlines()
    return sum(int(line.split()[2]) for line in lines) > 65536


def _refused(identity: Identity, error: OSError) -> str:
    if identity.root:
        return (
            f"the kernel refuses new namespaces to root: {error.strerror}. This root lacks "
            "CAP_SYS_ADMIN: start the surrounding container with --privileged"
        )
    return (
        f"the kernel refuses user namespaces to user {identity.user}: {error.strerror}. Run as "
        "root, or allow them: sysctl -w user.max_user_namespaces=10000 and, where they exist, "
        "kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0"
    )


def _begin(
    main: Callable[[Identity], int], identity: Identity, mask: set[signal.Signals | int]
) -> NoReturn:
    code = 1
    try:
        kernel.die_with_parent(signal.SIGKILL)
        signal.signal(signal.SIGTERM, _stop)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
        try:
            kernel.mount("proc", "/proc", "proc", _PROC_FLAGS)
        except OSError as error:
            raise NeedError(
                f"the kernel refuses to mount /proc: {error.strerror}. Some of /proc is hidden "
                "here, as in most containers: start the surrounding one with --privileged or "
                "--security-opt systempaths=unconfined"
            ) from error
        _loopback_up()
        code = main(identity)
    except NeedError as error:
        print(f"This test cannot run here: {error}", file=sys.stderr)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - os._exit below says nothing of what was raised
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


_PROC_FLAGS = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request)
        name, flags = struct.unpack_from("16sH", answer)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", name, flags | _IFF_UP))


def _wait(child: int, mask: set[signal.Signals | int]) -> int:
    def forward(number: int, _: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
        signal.signal(signal.SIGALRM, lambda _number, _frame: os.kill(child, signal.SIGKILL))
        signal.alarm(_GRACE_SECONDS)

    for number in _ENDING:
        signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
