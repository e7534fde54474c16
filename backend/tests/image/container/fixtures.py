"""Fixtures of the todo service's container tests, besides those of tests/container."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.tests.image.container.stack import Replica, Stack
from tests.container.bundle import SecurityContext
from tests.container.cgroups import Cgroups
from tests.container.runtime import Runtime, Unpacked


@pytest.fixture(scope="session")
def cluster() -> Path | None:
    """PostgreSQL's files where somebody made them before; else its container does."""
    return None


@pytest.fixture(scope="session")
def stack(
    runtime: Runtime,
    image: Unpacked,
    postgres: Unpacked,
    context: SecurityContext,
    cgroups: Cgroups | None,
    scratch: Path,
    cluster: Path | None,
) -> Iterator[Stack]:
    """PostgreSQL and an AI service that run, and a database that is empty.

    One for all modules: to make it takes the longest of all where the processor is emulated.
    """
    folder = scratch / "stack"
    folder.mkdir()
    with Stack(
        runtime,
        image,
        postgres,
        context,
        folder,
        limits=cgroups is not None,
        cluster=cluster,
    ) as made:
        yield made


@pytest.fixture(scope="session")
def unmigrated(stack: Stack) -> Replica:
    """A replica that was started before anybody made the schema."""
    return stack.replica(patient=True)


@pytest.fixture(scope="session")
def replica(stack: Stack, unmigrated: Replica) -> Replica:
    """The same, ready. `test_limits.py` kills it, and so is the last that takes it."""
    if unmigrated.health() != 200:
        migrated = stack.run("migrate")
        assert migrated.exit_code == 0, migrated.log
    unmigrated.until_ready()
    return unmigrated
