"""PostgreSQL's files, made before the virtual machine boots: in it, initdb takes twenty seconds.

The image's own program makes them, with the image's own PostgreSQL.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backend.tests.image.container.stack import OWNER, PASSWORD
from image.postgres.__main__ import Settings, initialise
from tests.machine.images import FILES
from tools.dev import postgres

_NAME = "cluster"


def prepare(images: Path, folder: Path) -> None:
    """Makes them in `folder`, of the unpacked image; raises `CalledProcessError`."""
    # initdb refuses root.
    user = postgres.ordinary_user()
    if user.number is not None:
        # Somebody to whom the folder may be closed: the image makes them in the machine, as ever.
        return
    programs = postgres.programs(images / "postgres" / FILES, folder)
    command = [*user.prefix, sys.executable, "-m", __name__, str(programs), str(folder / _NAME)]
    subprocess.run(command, env={**os.environ, "TZ": "UTC"}, check=True)


@pytest.fixture(scope="session")
def cluster() -> Path | None:
    """The files that `prepare` made, if it did."""
    made = Path(os.environ["PREPARED"], _NAME)
    return made if made.is_dir() else None


if __name__ == "__main__":
    initialise(
        Settings(data=Path(sys.argv[2]), owner=OWNER, password=PASSWORD, database=OWNER),
        Path(sys.argv[1]),
    )
