"""`python -m backend`: serves todos, or runs one of the service's commands."""

import asyncio
import sys
from typing import TYPE_CHECKING

from backend.identity import IDENTITY
from backend.settings import Settings
from serving.process.command import Command, main

if TYPE_CHECKING:
    from backend.app import TodoApplication


def application(settings: Settings) -> "TodoApplication":
    """The application, imported where it is needed."""
    from backend.app import create_app  # noqa: PLC0415

    return create_app(settings)


def migrate(settings: Settings) -> int:
    """Bring the database's schema to the newest revision."""
    from backend.schema import MIGRATIONS  # noqa: PLC0415
    from serving.data.command import run  # noqa: PLC0415

    return asyncio.run(run(settings, settings, MIGRATIONS, name=IDENTITY.name))


MIGRATE = Command(
    name="migrate", about="bring the database's schema to the newest revision", run=migrate
)

if __name__ == "__main__":
    sys.exit(main(IDENTITY, Settings, application, [MIGRATE]))
