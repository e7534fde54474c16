"""Fixtures of tests in the virtual machine, over those of //tests/container."""

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from tests.container.bundle import SecurityContext
from tests.container.needs import program
from tests.container.runtime import Unpacked
from tests.machine import images
from tests.machine.job import IMAGES
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

    def __init__(self, profile: str, log: KernelLog) -> None:
        self._profile = profile
        self._log = log
        log.take()

    def all(self) -> list[Denial]:
        """Every one so far, in order: one is provoked that has to come after them."""
        process = os.fork()
        if process == 0:
            _be_refused(self._profile)
        os.waitpid(process, 0)
        return self._log.until(lambda one: one.get("name") == _FORBIDDEN)[:-1]


def _be_refused(profile: str) -> NoReturn:
    """Does, under a profile, what it forbids (aa_change_profile(2)); ends this process."""
    try:
        Path("/proc/self/attr/current").write_text(f"changeprofile {profile}")
        os.open(_FORBIDDEN, os.O_RDONLY)
    finally:
        os._exit(0)


@pytest.fixture
def refusals(apparmor: str, kernel_log: KernelLog) -> Refusals:
    """What AppArmor refuses during a test."""
    return Refusals(apparmor, kernel_log)


@pytest.fixture(scope="session")
def copies(scratch: Path) -> Callable[[str], Unpacked]:
    """Gives images, by name, as if unpacked anew: what containers change is in one copy only."""
    images.load_module(Path(os.environ["MACHINE"]))
    numbers = itertools.count(1)

    def copy(name: str) -> Unpacked:
        return images.overlaid(IMAGES / name, scratch / f"{name}-files-{next(numbers)}")

    return copy


@pytest.fixture(scope="session")
def image(copies: Callable[[str], Unpacked]) -> Unpacked:
    return copies("image")


@pytest.fixture(scope="session")
def postgres(copies: Callable[[str], Unpacked]) -> Unpacked:
    return copies("postgres")
