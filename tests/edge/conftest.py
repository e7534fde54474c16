"""One attacked server for each module of tests."""

from collections.abc import Iterator

import pytest

from backend.tests.process import Running
from tests.edge.server import attacked


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with attacked(tmp_path_factory.mktemp("edge")) as running:
        yield running
