"""Fixtures of tests in the virtual machine, over those of //tests/container."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.container.bundle import SecurityContext
from tests.container.needs import program
from tests.container.runtime import Runtime, Unpacked
from tests.machine.kernel_log import Denial, KernelLog

PYTHON = "/usr/bin/python3.13"
PROFILES = Path("/sys/kernel/security/apparmor/profiles")
# Exists in every container, and the profile has no rule for it.
_FORBIDDEN = "/dev/full"


def load(profile: Path) -> None:
    """Gives the kernel a profile, as on a node; raises `CalledProcessError`."""
    parser = program("apparmor_parser", "apparmor")
    subprocess.run([parser, "--replace", "--skip-cache", profile], check=True)


@pytest.fixture(scope="session")
def apparmor() -> str:
    """The name of the service's profile, which the kernel has."""
    file = Path(os.environ["APPARMOR"])
    load(file)
    return file.name


@pytest.fixture(scope="session")
def context(context: SecurityContext, apparmor: str) -> SecurityContext:
    """As without a virtual machine, and AppArmor."""
    return replace(context, apparmor=apparmor)


@pytest.fixture(scope="session")
def kernel_log() -> Iterator[KernelLog]:
    with KernelLog() as log:
        yield log


class Refusals:
    """What AppArmor refused since this was made."""

    def __init__(
        self, runtime: Runtime, image: Unpacked, context: SecurityContext, log: KernelLog
    ) -> None:
        self._runtime = runtime
        self._image = image
        self._context = context
        self._log = log
        log.take()

    def all(self) -> list[Denial]:
        """Every one so far, in order: one is provoked that has to come after them."""
        code = f"open('{_FORBIDDEN}')"
        container = self._runtime.start(
            self._image, self._context, name="last", entrypoint=[PYTHON, "-c", code]
        )
        try:
            container.wait(60)
        finally:
            container.remove()
        return self._log.until(lambda one: one.get("name") == _FORBIDDEN)[:-1]


@pytest.fixture
def refusals(
    runtime: Runtime, image: Unpacked, context: SecurityContext, kernel_log: KernelLog
) -> Refusals:
    """What AppArmor refuses during a test."""
    return Refusals(runtime, image, context, kernel_log)
