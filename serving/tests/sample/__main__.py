"""`python -m serving.tests.sample`: serves notes, or runs a command."""

import asyncio
import sys
from typing import TYPE_CHECKING

from serving.process.command import Command, main
from serving.tests.sample.identity import IDENTITY
from serving.tests.sample.settings import Settings

if TYPE_CHECKING:
    from serving.tests.sample.app import SampleApplication


def application(settings: Settings) -> "SampleApplication":
    """The application, imported where it is needed."""
    from serving.tests.sample.app import create_app

    return create_app(settings)


def migrate(settings: Settings) -> int:
    """Bring the database's schema to the newest revision."""
    from serving.data.command import run
    from serving.tests.sample.tables import MIGRATIONS

    return asyncio.run(run(settings, settings, MIGRATIONS, name=IDENTITY.name))


MIGRATE = Command(name="migrate", about="bring the schema to the newest revision", run=migrate)

if __name__ == "__main__":
    sys.exit(main(IDENTITY, Settings, application, [MIGRATE]))
