"""The command `migrate`."""

import sys

from serving.data.database import Database
from serving.data.errors import DatabaseDown
from serving.data.migrate import ForeignSchema, Migrations, MissingMigration, migrate
from serving.data.settings import DatabaseSettings
from serving.watch import logs
from serving.watch.settings import WatchSettings

# sysexits.h: EX_UNAVAILABLE, EX_CONFIG.
EX_UNAVAILABLE = 69
EX_CONFIG = 78


async def run(
    settings: DatabaseSettings, watch: WatchSettings, migrations: Migrations, *, name: str
) -> int:
    """Migrate and print what that did. Returns the exit code."""
    logs.configure(watch)
    database = Database(settings, name=name)
    try:
        before, after = await migrate(database, migrations)
    except DatabaseDown as error:
        print(f"the database cannot be reached: {error}", file=sys.stderr)
        return EX_UNAVAILABLE
    except ForeignSchema as error:
        print(error, file=sys.stderr)
        return EX_CONFIG
    except MissingMigration as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        await database.close()
    print(f"schema: {before or 'empty'} -> {after}" if before != after else f"schema: {after}")
    return 0
