"""Fixtures of the todo service's container tests, besides those of tests/container."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.tests.image.container.stack import Stack
from tests.container.bundle import SecurityContext
from tests.container.cgroups import Cgroups
from tests.container.runtime import Runtime, Unpacked


@pytest.fixture(scope="module")
def stack(
    runtime: Runtime,
    image: Unpacked,
    postgres: Unpacked,
    context: SecurityContext,
    cgroups: Cgroups | None,
    scratch: Path,
) -> Iterator[Stack]:
    """PostgreSQL and an AI service that run, and a database that is empty."""
    folder = scratch / "stack"
    folder.mkdir(exist_ok=True)
    with Stack(runtime, image, postgres, context, folder, limits=cgroups is not None) as made:
        yield made
