"""The variables of the database."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import Field, SecretStr, field_validator

from serving.settings.section import Seconds, Section, expected, secret

URL_DESCRIPTION = (
    "`sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST:PORT/NAME?sslmode=...` "
    "(libpq's URL parameters)."
)

# PostgreSQL 17, section 32.1.2.
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:]*)(?::([0-9]{1,5}))?")


def sqlite_below_the_temporary_folder(name: str) -> Callable[[], SecretStr]:
    """Makes the default URL: the only place where a read-only container can write."""
    return lambda: SecretStr(f"sqlite:///{Path(tempfile.gettempdir()) / name}")


def database_url_field(file_name: str) -> Any:
    """The field `database_url` of a service, with its own SQLite file by default."""
    return Field(
        default_factory=sqlite_below_the_temporary_folder(file_name),
        json_schema_extra={"secret": True},
        description=URL_DESCRIPTION,
    )


class DatabaseSettings(Section):
    """Where the database is, how many connections, and how long anything may take."""

    TITLE: ClassVar[str] = "Database"
    PRODUCTION: ClassVar = {"auto_migrate": False}

    database_url: SecretStr = database_url_field("service.db")
    database_password: SecretStr | None = secret(
        description="PostgreSQL password, where it is kept apart from the URL."
    )
    database_pool_size: int = Field(10, ge=1, le=500, description="Connections kept open.")
    database_max_overflow: int = Field(
        5, ge=0, le=500, description="Connections above the pool size in a burst."
    )
    database_pool_timeout: Seconds = Field(
        3.0, description="How long a request waits for a free connection, in seconds, before 503."
    )
    database_pool_recycle: int = Field(
        1800, ge=-1, description="Age at which a connection is replaced, in seconds; -1: never."
    )
    database_pre_ping: bool = Field(
        True, description="Test a connection that has been idle before a request gets it."
    )
    database_pre_ping_idle: float = Field(
        5.0, ge=0, le=3600, description="Idle time after which it is tested, in seconds."
    )
    database_connect_timeout: Seconds = Field(
        5.0, description="Time for opening a connection, in seconds."
    )
    database_statement_timeout: Seconds = Field(
        5.0, description="Time for one statement, in seconds; PostgreSQL cancels it then."
    )
    auto_migrate: bool = Field(
        True, description="Migrate the schema at start. Otherwise run the command `migrate`."
    )

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: SecretStr) -> SecretStr:
        if any(character < " " or character == "\x7f" for character in value.get_secret_value()):
            raise expected("a URL without line breaks or other control characters")
        try:
            parts = urlsplit(value.get_secret_value())
            known = parts.scheme in {"sqlite", "postgresql", "postgres"}
        except ValueError:
            known = False
        if not known:
            raise expected("sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME")
        if parts.scheme == "sqlite" and (parts.netloc or len(parts.path) < len("/x")):
            raise expected("sqlite:///PATH, with three slashes, four for an absolute path")
        if parts.scheme != "sqlite" and not parts.path.strip("/"):
            raise expected("the name of a database after the host")
        if parts.scheme == "sqlite":
            _check_file(Path(parts.path.removeprefix("/")))
        else:
            _check_server(parts)
        return value

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a SQLite file."""
        return self.database_url.get_secret_value().startswith("sqlite:")


def _check_file(path: Path) -> None:
    """A SQLite file has to be one, or to be one that can be made."""
    if path.is_dir():
        raise expected("the path of a file, not of a folder")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise expected("a path below folders, not below a file")


def _check_server(parts: SplitResult) -> None:
    """What libpq would refuse when it is too late."""
    for host in parts.netloc.rpartition("@")[2].split(","):
        match = _HOST.fullmatch(host)
        if match is None or (match[1] and not 0 < int(match[1]) <= 65535):  # noqa: PLR2004
            raise expected("HOST or HOST:PORT, with a port from 1 to 65535")
    parameters = parse_qs(parts.query, keep_blank_values=True)
    for mode in parameters.get("sslmode", ()):
        if mode not in SSL_MODES:
            raise expected(f"sslmode={'|'.join(SSL_MODES)}")
    for name in ("sslrootcert", "sslcert", "sslkey", "sslcrl"):
        for file in parameters.get(name, ()):
            if not Path(file).is_file():
                raise expected(f"an existing file as {name}")
