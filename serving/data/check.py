"""The look at the database that readiness takes."""

from collections.abc import Sequence

from serving.data.database import Database
from serving.data.migrate import Migrations, current_revision
from serving.watch.health import Watched, measured


class DatabaseCheck:
    """Whether the database answers, and whether its schema is one that this code can work on.

    It should be given connections of its own: a pool in full use means load, not an outage, and
    must not take the replica out of rotation.
    """

    def __init__(self, database: Database, migrations: Migrations) -> None:
        self._database = database
        self._migrations = migrations
        self._answers = Watched("database")
        self._schema = Watched("schema")
        self.components: Sequence[Watched] = (self._answers, self._schema)

    async def look(self) -> None:
        """Ask for the schema's revision."""
        revision: str | None = None

        async def read_revision() -> None:
            nonlocal revision
            async with self._database.read() as connection:
                revision = await current_revision(connection)

        await measured(self._answers, read_revision)
        if self._answers.status == "ok":
            applied = self._migrations.are_applied(revision)
            self._schema.set("ok" if applied else "unavailable")
        else:
            self._schema.set("unknown")
