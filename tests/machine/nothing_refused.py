"""Fails the last test where AppArmor refused anything during any: for tests of what is needed."""

from collections.abc import Iterator

import pytest

from tests.container.bundle import SecurityContext
from tests.container.runtime import Runtime, Unpacked
from tests.machine.fixtures import Refusals
from tests.machine.kernel_log import KernelLog


@pytest.fixture(scope="session", autouse=True)
def nothing_refused(
    runtime: Runtime, image: Unpacked, context: SecurityContext, kernel_log: KernelLog
) -> Iterator[None]:
    refusals = Refusals(runtime, image, context, kernel_log)
    yield
    assert refusals.all() == []
