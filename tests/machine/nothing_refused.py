"""Fails the last test of a module where AppArmor refused anything during any of it.

For modules that show what is needed. One that shows what is forbidden says so to this plugin by a
fixture of its own named `nothing_refused`, or is named here.
"""

from collections.abc import Iterator

import pytest

from tests.machine.fixtures import Refusals
from tests.machine.kernel_log import KernelLog

# Looks for a shell, and writes where nobody may.
_PROVOKES = "tests.container.test_read_only"


@pytest.fixture(scope="module", autouse=True)
def nothing_refused(
    request: pytest.FixtureRequest, apparmor: str, kernel_log: KernelLog
) -> Iterator[None]:
    refusals = Refusals(apparmor, kernel_log)
    yield
    refused = refusals.all()
    if request.module.__name__ != _PROVOKES:
        assert refused == []
