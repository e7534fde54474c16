"""Podman takes layers that are zstd, and runs the service from them."""

import os
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from deploy import definition
from tests.container import probe
from tests.container.namespaces import Identity
from tests.kubernetes.podman import Podman, podman_below

SERVICE = definition.read(Path(os.environ["SERVICE"]))
READY = f"http://127.0.0.1:{SERVICE['port']}{SERVICE['ready_path']}"
NAME = "localhost/zstd:latest"


@pytest.fixture
def podman(identity: Identity, scratch: Path) -> Iterator[Podman]:
    with podman_below(scratch, identity) as made:
        made.load(Path(os.environ["IMAGE"]), NAME)
        yield made


def test_the_service_runs_from_what_podman_took(podman: Podman) -> None:
    hardened = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    podman.run("run", "--detach", *hardened, "--name=service", "--network=host", NAME)
    podman.until(lambda: probe.status(READY) == HTTPStatus.OK, "ready", "service")

    podman.run("stop", "--time=35", "service")

    assert podman.inspect("service")["State"]["ExitCode"] == 0
