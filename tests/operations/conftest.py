"""A service that works, for tests that look at it."""

from collections.abc import Iterator

import pytest

from tests.kubernetes.manifests import service
from tools.dev import process


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Running]:
    """One on a SQLite file of its own; tests ask it for what changes nothing."""
    file = tmp_path_factory.mktemp("running") / "service.db"
    with process.Running(service()["module"], DATABASE_URL=f"sqlite:///{file}") as made:
        yield made
