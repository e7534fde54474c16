"""The profile that container tests run under lets through what it should, and no more."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.container import bundle

FORBIDDEN = (
    "acct add_key bpf delete_module finit_module init_module io_uring_enter io_uring_register "
    "io_uring_setup kexec_load keyctl mount move_mount open_by_handle_at perf_event_open "
    "personality pivot_root process_vm_readv process_vm_writev ptrace quotactl reboot request_key "
    "setns settimeofday swapon umount2 unshare userfaultfd"
)


@pytest.fixture
def profile() -> Any:
    return bundle.seccomp(Path(os.environ["SECCOMP"]))


def allowed(profile: Any) -> set[str]:
    return {
        name
        for rule in profile["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW"
        for name in rule["names"]
    }


def test_what_is_not_allowed_is_refused(profile: Any) -> None:
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"


@pytest.mark.parametrize("name", FORBIDDEN.split())
def test_calls_that_reach_beyond_a_container_are_refused(profile: Any, name: str) -> None:
    assert name not in allowed(profile)


def test_each_call_is_named_once(profile: Any) -> None:
    names = [name for rule in profile["syscalls"] for name in rule["names"]]

    assert len(names) == len(set(names))
