"""Any service runs as its image's user, whatever the user that runs the tests."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from deploy import definition
from tests.container import probe
from tests.container.bundle import SecurityContext
from tests.container.namespaces import Identity
from tests.container.runtime import Container, Runtime, Unpacked

SERVICE = definition.read(Path(os.environ["SERVICE"]))
READY_SECONDS = 60.0
# For a second one beside the first.
OTHER_PORT = str(int(SERVICE["port"]) + 1)
WRITE = "import sys; open(sys.argv[1], 'x').close()"


@pytest.fixture(scope="module", autouse=True)
def other_users(identity: Identity) -> None:
    if not identity.root:
        pytest.fail(
            "the container runs as this machine's user: a user namespace has one user id unless "
            "newuidmap gives it more. Run as root to test the image's own user"
        )


def ready(port: str) -> bool:
    return probe.status(f"http://127.0.0.1:{port}{SERVICE['ready_path']}") == 200


def test_its_user_and_group_are_the_images(service: Container) -> None:
    status = service.status()

    assert status["Uid"].split() == [SERVICE["uid"]] * 4
    assert status["Gid"].split() == [SERVICE["gid"]] * 4
    assert status["Groups"] == ""


def test_every_process_of_it_is_that_users(service: Container) -> None:
    owners = {Path(f"/proc/{pid}").stat().st_uid for pid in service.processes()}

    assert owners == {int(SERVICE["uid"])}


def test_what_it_writes_is_that_users(service: Container) -> None:
    file = "/tmp/written"
    done = service.execute("/usr/bin/python3.13", "-c", WRITE, file)
    assert done.returncode == 0, done.stderr

    written = Path(f"/proc/{service.pid}/root{file}").stat()

    assert (written.st_uid, written.st_gid) == (int(SERVICE["uid"]), int(SERVICE["gid"]))


def test_another_user_can_be_chosen(
    runtime: Runtime, image: Unpacked, context: SecurityContext, service: Container
) -> None:
    # OpenShift and the like give each namespace its own user id.
    other = replace(context, user="1000700000:0")
    container = runtime.start(image, other, environment={"PORT": OTHER_PORT})
    try:
        container.until(lambda: ready(OTHER_PORT), "ready", READY_SECONDS)
        assert container.status()["Uid"].split() == ["1000700000"] * 4
    finally:
        container.remove()
