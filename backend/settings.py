import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

MASK = "********"


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Seconds = Annotated[float, Field(gt=0, le=3600)]

_API_KEY = re.compile(r"(?P<name>[A-Za-z0-9_.-]{1,64}):sha256:(?P<digest>[0-9a-f]{64})")


def default_database_url() -> SecretStr:
    """SQLite below the temporary folder: the only place a read-only container can write."""
    return SecretStr(f"sqlite:///{Path(tempfile.gettempdir()) / 'todo-backend.db'}")


class SettingsError(Exception):
    """The environment does not describe a service that can run.

    Attributes:
        problems: one line each: the variable, what came (secrets masked), what is expected.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class MountedSecrets(PydanticBaseSettingsSource):
    """Reads a secret `NAME` from the file that the variable `NAME_FILE` names.

    A trailing line break is not part of the secret: editors and `kubectl create secret` add one.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Read one field's file; `None` where no file is named."""
        if not is_secret(field):
            return None, field_name, False
        variable = field_name.upper()
        path = os.environ.get(f"{variable}_FILE")
        if not path:
            return None, field_name, False
        if os.environ.get(variable):
            raise SettingsError(
                [f"{variable}_FILE: got {path!r}; expected only one of {variable}, {variable}_FILE"]
            )
        try:
            value = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                [f"{variable}_FILE: got {path!r}; expected a readable UTF-8 file ({error})"]
            ) from error
        return value.rstrip("\r\n"), field_name, False

    def __call__(self) -> dict[str, Any]:
        """All secrets that have a file; every unreadable one is reported, not only the first."""
        values: dict[str, Any] = {}
        problems: list[str] = []
        for name, field in self.settings_cls.model_fields.items():
            try:
                value, _, _ = self.get_field_value(field, name)
            except SettingsError as error:
                problems += error.problems
                continue
            if value is not None:
                values[name] = value
        if problems:
            raise SettingsError(problems)
        return values


def is_secret(field: FieldInfo) -> bool:
    """Whether a field's value must never be shown."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("secret"))


def _secret(default: Any = None, **options: Any) -> Any:
    return Field(default, json_schema_extra={"secret": True}, **options)


class Settings(BaseSettings):
    """What the service can be told: environment variables of the fields' names in capitals.

    Secrets may also be mounted files, named by `NAME_FILE`. An empty variable counts as unset.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    # What differs in production, unless it is set explicitly.
    PRODUCTION: ClassVar[Mapping[str, Any]] = {
        "auth_required": True,
        "auto_migrate": False,
        "docs_enabled": False,
        "drain_seconds": 5.0,
        "log_format": "json",
    }

    # General
    environment: Literal["dev", "prod"] = Field(
        "dev", description="Chooses the defaults: `dev` for a laptop, `prod` for everything else."
    )
    host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104
    port: int = Field(8000, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that serve; more than one needs PostgreSQL. "
        "In Kubernetes leave it at 1 and add replicas.",
    )
    docs_enabled: bool = Field(True, description="Serve `/docs` and `/openapi.json`.")
    log_format: Literal["text", "json"] = Field(
        "text", description="One line per event, either way."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe level that is logged."
    )
    revision: str = Field("unknown", max_length=64, description="Source revision, for `/metrics`.")

    # Life cycle
    drain_seconds: float = Field(
        0.0,
        ge=0,
        le=300,
        description="After SIGTERM, how long to keep serving while unready, in seconds: time for "
        "load balancers to notice.",
    )
    grace_seconds: Seconds = Field(
        20.0, description="After draining, how long requests in flight may take, in seconds."
    )

    # Database
    database_url: SecretStr = Field(
        default_factory=default_database_url,
        json_schema_extra={"secret": True},
        description="`sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST:PORT/NAME?sslmode=...` "
        "(libpq's URL parameters).",
    )
    database_password: SecretStr | None = _secret(
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
        True, description="Migrate the schema at start. Otherwise run `python -m backend migrate`."
    )
    idempotency_hours: int = Field(
        24, ge=1, le=720, description="How long an Idempotency-Key is remembered, in hours."
    )

    # Protection
    auth_required: bool = Field(False, description="Demand an API key (health stays open).")
    api_keys: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        (),
        json_schema_extra={"secret": True},
        description="Valid keys, comma-separated `NAME:sha256:HEX`, as `python -m backend new-key` "
        "prints them. Several are valid at once, for rotation.",
    )
    cors_origins: Names = Field(
        (), description="Origins that browsers may call from, comma-separated; none by default."
    )
    trusted_proxies: Names = Field(
        (),
        description="Addresses or networks whose X-Forwarded-For and -Proto are believed, "
        "comma-separated.",
    )
    request_max_bytes: int = Field(
        262_144, ge=1024, le=67_108_864, description="Largest request body, in bytes."
    )
    header_max_bytes: int = Field(
        16_384, ge=1024, le=1_048_576, description="Largest request line and header, in bytes."
    )
    url_max_bytes: int = Field(
        4096, ge=256, le=65_536, description="Longest path and query, in bytes."
    )
    header_timeout: Seconds = Field(
        10.0, description="Time for a client to send its header, in seconds."
    )
    body_timeout: Seconds = Field(
        20.0, description="Time for a client to send its body, in seconds."
    )
    write_timeout: Seconds = Field(
        30.0, description="Time for a client to take a response, in seconds."
    )
    keep_alive_timeout: Seconds = Field(
        75.0,
        description="How long an idle connection stays open, in seconds; keep it above the load "
        "balancer's.",
    )
    max_connections: int = Field(
        10_000, ge=1, description="Connections held open; one more gets 503."
    )

    # WebSocket
    ws_max_connections: int = Field(2000, ge=0, description="Sockets in one process.")
    ws_max_connections_per_client: int = Field(
        1100, ge=1, description="Sockets of one API key (without keys: of one address)."
    )
    ws_queue_size: int = Field(
        256, ge=1, le=100_000, description="Events a slow consumer may lag before close code 1013."
    )
    ws_max_message_bytes: int = Field(
        4096, ge=1, le=1_048_576, description="Largest message a client may send, in bytes."
    )
    ws_ping_interval: Seconds = Field(20.0, description="Time between pings, in seconds.")
    ws_ping_timeout: Seconds = Field(20.0, description="Time for a pong, in seconds.")
    ws_replay_limit: int = Field(
        1000, ge=1, le=100_000, description="Most events a resuming client is sent."
    )
    event_retention_hours: int = Field(
        24, ge=1, le=720, description="How long events can be resumed from, in hours."
    )

    # AI
    ai_base_url: str | None = Field(
        None,
        description="Base URL of an OpenAI-compatible API, such as `http://ai:8080/v1`; unset: "
        "the AI routes answer 503.",
    )
    ai_api_key: SecretStr | None = _secret(description="Bearer token for the AI service.")
    ai_model: str = Field("gpt-4o-mini", min_length=1, max_length=200, description="Model name.")
    ai_connect_timeout: Seconds = Field(2.0, description="Time for connecting, in seconds.")
    ai_read_timeout: Seconds = Field(
        20.0, description="Time between bytes of the answer, in seconds."
    )
    ai_total_timeout: Seconds = Field(
        30.0, description="Time for one call with its retries, in seconds."
    )
    ai_retries: int = Field(
        2, ge=0, le=10, description="Retries of a call that certainly was not processed."
    )
    ai_max_concurrency: int = Field(
        8, ge=1, le=1000, description="Calls at the same time; more wait, then get 503."
    )
    ai_queue_timeout: Seconds = Field(
        1.0, description="How long a call waits for its turn, in seconds."
    )
    ai_max_response_bytes: int = Field(
        262_144, ge=1024, le=67_108_864, description="Largest answer of the AI service, in bytes."
    )
    ai_breaker_failures: int = Field(
        5, ge=1, le=1000, description="Failures in a row that open the circuit breaker."
    )
    ai_breaker_recovery: int = Field(
        30, ge=1, le=3600, description="Time it stays open, in seconds, before one trial call."
    )
    ai_probe_interval: Seconds = Field(
        30.0, description="Time between looks at the AI service's reachability, in seconds."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then variables, then mounted secrets."""
        return init_settings, env_settings, MountedSecrets(settings_cls)

    @model_validator(mode="before")
    @classmethod
    def _fill_production_defaults(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("environment") == "prod":
            return {**cls.PRODUCTION, **values}
        return values

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: SecretStr) -> SecretStr:
        try:
            parts = urlsplit(value.get_secret_value())
            known = parts.scheme in {"sqlite", "postgresql", "postgres"}
        except ValueError:
            known = False
        if not known:
            raise _expected("sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME")
        if parts.scheme == "sqlite" and (parts.netloc or len(parts.path) < len("/x")):
            raise _expected("sqlite:///PATH, with three slashes, four for an absolute path")
        if parts.scheme != "sqlite" and not parts.path.strip("/"):
            raise _expected("the name of a database after the host")
        return value

    @field_validator("ai_base_url")
    @classmethod
    def _check_ai_base_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
            raise _expected("an http:// or https:// URL without a query")
        if parts.username or parts.password:
            raise _expected("a URL without a password; use AI_API_KEY")
        return value.rstrip("/")

    @field_validator("cors_origins")
    @classmethod
    def _check_cors_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if (
                parts.scheme not in {"http", "https"}
                or f"{parts.scheme}://{parts.netloc}" != origin
            ):
                raise _expected("origins such as https://app.example.org, without path or '*'")
        return value

    @field_validator("api_keys")
    @classmethod
    def _check_api_keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_API_KEY.fullmatch(key) for key in value):
            raise _expected("NAME:sha256:HEX entries, as `python -m backend new-key` prints them")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        problems = []
        if self.auth_required and not self.api_keys:
            problems.append(
                "API_KEYS: got nothing; expected at least one key, because AUTH_REQUIRED is true"
            )
        if self.workers > 1 and self.is_sqlite:
            problems.append(
                f"WORKERS: got {self.workers}; expected 1 with SQLite, or a PostgreSQL DATABASE_URL"
            )
        if self.ai_total_timeout < self.ai_connect_timeout:
            problems.append(
                f"AI_TOTAL_TIMEOUT: got {self.ai_total_timeout:g}; expected at least "
                f"AI_CONNECT_TIMEOUT ({self.ai_connect_timeout:g})"
            )
        if problems:
            raise PydanticCustomError("together", "{problems}", {"problems": "\n".join(problems)})
        return self

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a SQLite file."""
        return self.database_url.get_secret_value().startswith("sqlite:")

    def key_digests(self) -> dict[str, bytes]:
        """The valid API keys: SHA-256 digest of each, by name; the same name may come twice."""
        digests = {}
        for position, key in enumerate(self.api_keys):
            name, _, digest = key.split(":")
            digests[name if name not in digests else f"{name}#{position}"] = bytes.fromhex(digest)
        return digests

    def shown(self) -> dict[str, str]:
        """Every variable and its effective value, secrets masked."""
        lines = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            lines[name.upper()] = _show(value, secret=is_secret(field))
        return lines


def _expected(what: str) -> PydanticCustomError:
    return PydanticCustomError("expected", "Input should be {what}", {"what": what})


def _show(value: Any, *, secret: bool) -> str:
    if value is None or value == ():
        return ""
    if secret:
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        return text if text.startswith("sqlite:") else MASK
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: with every problem there is, not only the first.
    """
    try:
        return Settings()
    except SettingsError:
        raise
    except ValidationError as error:
        problems, invalid = _describe(error)
    # Rules over several variables are only checked once each is valid: put the defaults in place
    # of the invalid ones to report those rules in the same go.
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in Settings.model_fields.items()
        if name in invalid
    }
    if defaults:
        try:
            Settings(**defaults)
        except ValidationError as error:
            more, _ = _describe(error)
            problems += [line for line in more if line.split(":")[0].lower() not in invalid]
    raise SettingsError(problems)


def _describe(error: ValidationError) -> tuple[list[str], set[str]]:
    problems: list[str] = []
    invalid: set[str] = set()
    for one in error.errors(include_url=False):
        if one["type"] == "together":
            problems += one["msg"].splitlines()
            continue
        name = str(one["loc"][0])
        field = Settings.model_fields[name]
        invalid.add(name)
        came = MASK if is_secret(field) else repr(one["input"])
        expected = one["msg"].removeprefix("Input should be ").replace("Input should", "it to")
        problems.append(f"{name.upper()}: got {came}; expected {expected}")
    return problems, invalid
