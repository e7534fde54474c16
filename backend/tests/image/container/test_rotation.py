"""Keys and the database's password change in their files while the container serves."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from backend.tests.image.container.load import TODOS, Load, missing
from backend.tests.image.container.stack import API_KEY, PASSWORD, SECRETS, Replica, Stack
from tests.container.patience import patient

# Within which a changed file is in force, as docs/operate.md says.
SECONDS = 10.0
NEW_PASSWORD = "another 'password'"


def entry(name: str, key: str) -> str:
    return f"{name}:sha256:{hashlib.sha256(key.encode()).hexdigest()}"


class Secrets:
    """A folder of secrets that is written as a node of Kubernetes writes it, all or nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0

    def write(self, **files: str) -> None:
        """Put these files in the place of all that there were."""
        self._count += 1
        version = self.folder / f"..{self._count}"
        version.mkdir()
        for name, content in files.items():
            link = self.folder / name.replace("_", "-")
            (version / link.name).write_text(content + "\n")
            if not link.is_symlink():
                link.symlink_to(f"..data/{link.name}")
        (self.folder / "..new").symlink_to(version.name)
        (self.folder / "..new").rename(self.folder / "..data")


@pytest.fixture
def secrets(scratch: Path) -> Secrets:
    folder = scratch / "secrets"
    folder.mkdir()
    made = Secrets(folder)
    made.write(
        api_keys=f"{entry('tests', API_KEY)},{entry('web', 'old')}", database_password=PASSWORD
    )
    return made


@pytest.fixture
def replica(stack: Stack, secrets: Secrets) -> Iterator[Replica]:
    done = stack.run("migrate")
    assert done.exit_code == 0, done.log
    made = stack.replica(
        patient=True,
        secrets=secrets.folder,
        API_KEYS="",
        API_KEYS_FILE=f"{SECRETS}/api-keys",
        # Connections are made anew all the time: with the password of the moment.
        DATABASE_POOL_RECYCLE="1",
    )
    made.until_ready()
    yield made
    made.container.remove()


def status(replica: Replica, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.get(f"{replica.url}{TODOS}", headers=headers, timeout=30).status_code


def test_changed_secrets_are_in_force_soon_and_cost_no_request(
    stack: Stack, replica: Replica, secrets: Secrets
) -> None:
    keys = f"{entry('tests', API_KEY)},{entry('web', 'new')}"
    assert (status(replica, "old"), status(replica, "new")) == (200, 401)
    with Load([replica]) as load:
        load.until(50)
        began = time.monotonic()
        secrets.write(api_keys=keys, database_password=NEW_PASSWORD)
        replica.container.until(
            lambda: (status(replica, "old"), status(replica, "new")) == (401, 200),
            "taking the new key alone",
            SECONDS,
        )
        assert time.monotonic() - began < patient(SECONDS)
        load.until(50)
        stack.change_password(NEW_PASSWORD)
        try:
            load.until(200)
            replica.until_ready()
        finally:
            # Of the stack, which other tests share.
            stack.change_password(PASSWORD)

    assert load.wrong == []
    assert set(load.statuses) == {200, 201}, load.statuses
    assert missing(load, replica) == []
    assert "API_KEYS_FILE" in replica.container.stdout
    assert NEW_PASSWORD not in replica.container.log
