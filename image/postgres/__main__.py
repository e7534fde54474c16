"""Starts PostgreSQL in its container, making the database first where there is none.

    PGDATA                  folder of the database; its parent is what a volume is mounted at
    POSTGRES_USER           owner, default postgres
    POSTGRES_PASSWORD       its password, or
    POSTGRES_PASSWORD_FILE  a file that holds it; without either, everybody is trusted
    POSTGRES_DB             database to make besides, default the owner's name

Arguments go to the server, such as `-c max_connections=200`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BIN = Path("/usr/lib/postgresql/17/bin")


class ConfigurationError(Exception):
    """A variable is wrong; the text says which, and what was expected."""


@dataclass(frozen=True)
class Settings:
    """What the environment asks for."""

    data: Path
    owner: str
    password: str
    database: str

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Reads the variables; raises `ConfigurationError`."""
        owner = environment.get("POSTGRES_USER") or "postgres"
        return cls(
            data=Path(environment.get("PGDATA") or "/var/lib/postgresql/data"),
            owner=owner,
            password=_password(environment),
            database=environment.get("POSTGRES_DB") or owner,
        )


def _password(environment: Mapping[str, str]) -> str:
    given = environment.get("POSTGRES_PASSWORD", "")
    file = environment.get("POSTGRES_PASSWORD_FILE", "")
    if given and file:
        raise ConfigurationError("expected POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE, got both")
    if not file:
        return given
    try:
        return Path(file).read_text().rstrip("\n")
    except OSError as error:
        raise ConfigurationError(f"POSTGRES_PASSWORD_FILE: {error}") from None


def initialise(settings: Settings, programs: Path = BIN) -> None:
    """Makes the database beside its place and renames it: it is whole or absent."""
    beside = settings.data.with_name(f"{settings.data.name}.unfinished")
    shutil.rmtree(beside, ignore_errors=True)
    method = "scram-sha-256" if settings.password else "trust"
    command: list[str | Path] = [
        *(programs / "initdb", "--pgdata", beside, "--username", settings.owner),
        *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        *(f"--auth={method}", "--data-checksums", "--no-instructions"),
    ]
    with tempfile.NamedTemporaryFile("w") as secret:
        if settings.password:
            secret.write(settings.password)
            secret.flush()
            command.append(f"--pwfile={secret.name}")
        subprocess.run(command, check=True)
    with (beside / "pg_hba.conf").open("a") as rules:
        rules.write(f"host all all all {method}\n")
    if settings.database != "postgres":
        name = settings.database.replace('"', '""')
        subprocess.run(
            [programs / "postgres", "--single", "-D", beside, "postgres"],
            input=f'CREATE DATABASE "{name}"\n'.encode(),
            stdout=subprocess.DEVNULL,
            check=True,
        )
    beside.rename(settings.data)


def main() -> int:
    """Makes the database where there is none, then becomes the server."""
    try:
        settings = Settings.read(os.environ)
        if not settings.data.exists():
            initialise(settings)
    except (ConfigurationError, OSError, subprocess.CalledProcessError) as error:
        print(f"postgres: {error}", file=sys.stderr)
        return 1
    options = ["-D", str(settings.data), "-c", "listen_addresses=*", "-k", tempfile.gettempdir()]
    server = str(BIN / "postgres")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("POSTGRES_")
    }
    return os.execve(server, [server, *options, *sys.argv[1:]], environment)


if __name__ == "__main__":
    sys.exit(main())
