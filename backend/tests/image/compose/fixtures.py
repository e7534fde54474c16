"""Podman with the images, which tests of deploy/compose.yaml and of the docs' commands share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.namespaces import Identity
from tests.kubernetes.podman import Podman, podman_below


@pytest.fixture(scope="session")
def podman(identity: Identity, scratch: Path) -> Iterator[Podman]:
    """Under the names that the images are loaded as; tests leave no container behind."""
    with podman_below(scratch, identity) as made:
        made.load(Path(os.environ["IMAGE"]), "localhost/todo-backend:latest")
        made.load(Path(os.environ["POSTGRES"]), "localhost/dev-postgres:latest")
        yield made
