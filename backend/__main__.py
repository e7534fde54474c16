import argparse
import asyncio
import sys

from backend.settings import Settings, SettingsError, load_settings

# sysexits.h: EX_CONFIG, and EX_UNAVAILABLE for a database that cannot be reached.
EX_CONFIG = 78
EX_UNAVAILABLE = 69


def main() -> int:
    """Run a command; without one, serve. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m backend", description="The todo service.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="serve until SIGTERM (the default)")
    commands.add_parser("migrate", help="bring the database's schema to the newest revision")
    commands.add_parser("check-config", help="check the settings and print them, secrets masked")
    key = commands.add_parser("new-key", help="make an API key and its entry for API_KEYS")
    key.add_argument("name", help="whose key it is; it appears in logs")
    commands.add_parser("openapi", help="print the OpenAPI document")
    commands.add_parser("configuration", help="print docs/configuration.md")
    arguments = parser.parse_args()
    if arguments.command == "new-key":
        return _new_key(arguments.name)
    if arguments.command == "openapi":
        return _openapi()
    if arguments.command == "configuration":
        return _configuration()
    try:
        settings = load_settings()
    except SettingsError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return EX_CONFIG
    if arguments.command == "check-config":
        for name, value in settings.shown().items():
            print(f"{name}={value}")
        return 0
    if arguments.command == "migrate":
        return _migrate(settings)
    from serving.process.supervisor import serve  # noqa: PLC0415

    serve(settings)
    return 0


def _migrate(settings: Settings) -> int:
    from serving.data.database import Database  # noqa: PLC0415
    from serving.data.migrate import migrate  # noqa: PLC0415
    from serving.watch import logs  # noqa: PLC0415
    from serving.web.problems import DatabaseDown  # noqa: PLC0415

    async def run() -> tuple[str | None, str | None]:
        database = Database(settings)
        try:
            return await migrate(database)
        finally:
            await database.close()

    logs.configure(settings)
    try:
        before, after = asyncio.run(run())
    except DatabaseDown as error:
        print(f"the database cannot be reached: {error}", file=sys.stderr)
        return EX_UNAVAILABLE
    print(f"schema: {before or 'empty'} -> {after}" if before != after else f"schema: {after}")
    return 0


def _new_key(name: str) -> int:
    from serving.web.security import new_key  # noqa: PLC0415

    key, entry = new_key(name)
    try:
        Settings(api_keys=(entry,))
    except ValueError:
        print(f"name: got {name!r}; expected 1 to 64 of A-Z a-z 0-9 _ . -", file=sys.stderr)
        return EX_CONFIG
    print(f"key, for the client:   {key}\nentry, for API_KEYS:   {entry}")
    return 0


def _openapi() -> int:
    import json  # noqa: PLC0415

    from backend.app import create_app  # noqa: PLC0415

    print(json.dumps(create_app(Settings()).openapi(), indent=2, sort_keys=True))
    return 0


def _configuration() -> int:
    from serving.settings.reference import reference  # noqa: PLC0415

    print(reference(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
