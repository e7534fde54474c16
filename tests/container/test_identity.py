"""The service runs as the image's user, whatever the user that runs the tests."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.container import probe
from tests.container.bundle import SecurityContext
from tests.container.namespaces import Identity
from tests.container.runtime import Container, Runtime, Unpacked

USER = "65532"


@pytest.fixture(scope="module")
def service(
    runtime: Runtime, image: Unpacked, context: SecurityContext, identity: Identity
) -> Iterator[Container]:
    if not identity.root:
        pytest.fail(
            "the container runs as this machine's user: a user namespace has one user id unless "
            "newuidmap gives it more. Run as root to test the image's own user"
        )
    container = runtime.start(image, context, name="backend")
    container.until(ready, "ready", 60)
    yield container
    container.remove()


def ready() -> bool:
    return probe.status("http://127.0.0.1:8000/health/ready") == 200


def test_its_user_and_group_are_the_images(service: Container) -> None:
    status = service.status()

    assert status["Uid"].split() == [USER] * 4
    assert status["Gid"].split() == [USER] * 4
    assert status["Groups"] == ""


def test_every_process_of_it_is_that_users(service: Container) -> None:
    owners = {Path(f"/proc/{pid}").stat().st_uid for pid in service.processes()}

    assert owners == {int(USER)}


def test_what_it_writes_is_that_users(service: Container) -> None:
    file = "/tmp/todo-backend.db"

    written = Path(f"/proc/{service.pid}/root{file}").stat()

    assert (written.st_uid, written.st_gid) == (int(USER), int(USER))


def test_another_user_can_be_chosen(
    runtime: Runtime, image: Unpacked, context: SecurityContext, service: Container
) -> None:
    # OpenShift and the like give each namespace its own user id.
    other = replace(context, user="1000700000:0")
    container = runtime.start(image, other, environment={"PORT": "8001"})
    try:
        container.until(lambda: "listening on" in container.stdout, "listening", 60)
        assert container.status()["Uid"].split() == ["1000700000"] * 4
    finally:
        container.remove()
