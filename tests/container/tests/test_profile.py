"""The profile of deploy/ is one that the runtime takes, and what it does not allow is refused.

//tests/kubernetes:profiles_test says which calls it allows.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.container import bundle


@pytest.fixture
def profile() -> Any:
    return bundle.seccomp(Path(os.environ["SECCOMP"]))


def test_what_is_not_allowed_is_refused(profile: Any) -> None:
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"


def test_its_rules_allow_and_do_nothing_else(profile: Any) -> None:
    assert [rule.keys() for rule in profile["syscalls"]] == [{"names", "action"}]
    assert profile["syscalls"][0]["action"] == "SCMP_ACT_ALLOW"


def test_it_holds_on_both_kinds_of_machines(profile: Any) -> None:
    assert set(profile["architectures"]) == {"SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"}
