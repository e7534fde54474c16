"""`python -m backend`: serves todos, or runs one of the service's commands."""

import asyncio
import json
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


def doctor(settings: Settings) -> int:
    """Look at what the service needs, a line for each thing."""
    from backend.schema import MIGRATIONS  # noqa: PLC0415
    from backend.suggestions.client import ai_peer  # noqa: PLC0415
    from backend.todos.tables import metadata  # noqa: PLC0415
    from serving.data.database import Database  # noqa: PLC0415
    from serving.data.doctor import database  # noqa: PLC0415
    from serving.upstream.doctor import peer  # noqa: PLC0415
    from serving.watch.doctor import process, run  # noqa: PLC0415

    pool = Database(settings, name=IDENTITY.name, pool_size=1)
    return run(
        [
            process(settings.max_connections),
            database(pool, MIGRATIONS, metadata.sorted_tables),
            peer(ai_peer(settings), "none is configured (AI_BASE_URL)"),
        ]
    )


def asyncapi(settings: Settings) -> int:
    """Print the AsyncAPI document."""
    print(json.dumps(application(settings).asyncapi(), indent=2, sort_keys=True))
    return 0


ASYNCAPI = Command(name="asyncapi", about="print the AsyncAPI document", run=asyncapi)
DOCTOR = Command(
    name="doctor", about="look at database, AI service and limits from here", run=doctor
)
MIGRATE = Command(
    name="migrate", about="bring the database's schema to the newest revision", run=migrate
)

if __name__ == "__main__":
    sys.exit(main(IDENTITY, Settings, application, [MIGRATE, DOCTOR, ASYNCAPI]))
