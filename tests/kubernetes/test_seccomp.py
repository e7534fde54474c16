"""Calls that reach beyond a container fail in one that has the profile of deploy/."""

import errno
import json

import pytest

from tests.container.bundle import SecurityContext
from tests.container.runtime import Runtime, Unpacked

# Numbers on x86_64 and aarch64 (the kernel's syscall tables).
CALLS = {
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "process_vm_readv": (310, 270),
    "ptrace": (101, 117),
    "setns": (308, 268),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
CODE = """
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
column = 0 if os.uname().machine == "x86_64" else 1
def outcome(numbers):
    ctypes.set_errno(0)
    result = libc.syscall(numbers[column], 0, 0, 0, 0, 0, 0)
    return ctypes.get_errno() if result == -1 else 0
print(json.dumps({name: outcome(numbers) for name, numbers in json.loads(sys.argv[1]).items()}))
"""


def outcomes(runtime: Runtime, image: Unpacked, context: SecurityContext) -> dict[str, str]:
    """What the kernel answers to each call: the name of the error, or "success"."""
    container = runtime.start(
        image,
        context,
        entrypoint=["/usr/bin/python3.13", "-c", CODE],
        arguments=[json.dumps(CALLS)],
    )
    assert container.wait(30) == 0, container.log
    found: dict[str, int] = json.loads(container.stdout)
    container.remove()
    return {name: errno.errorcode.get(number, "success") for name, number in found.items()}


@pytest.fixture(scope="module")
def refused(runtime: Runtime, image: Unpacked, context: SecurityContext) -> dict[str, str]:
    return outcomes(runtime, image, context)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_beyond_the_container_is_refused(refused: dict[str, str], name: str) -> None:
    assert refused[name] == "EPERM"


def test_without_the_profile_the_kernel_would_take_some_of_them(
    runtime: Runtime, image: Unpacked, context: SecurityContext
) -> None:
    bare = SecurityContext(seccomp=None, user=context.user, tmpfs=context.tmpfs)

    found = outcomes(runtime, image, bare)

    assert [name for name, outcome in found.items() if outcome != "EPERM"]
