"""The variables of what lies around the routes: keys, origins, limits of a request."""

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode

from serving.settings.section import Names, Seconds, Section, expected, split_list

_API_KEY = re.compile(r"(?P<name>[A-Za-z0-9_.-]{1,64}):sha256:(?P<digest>[0-9a-f]{64})")


class WebSettings(Section):
    """Who may call, from where, and with how much."""

    TITLE: ClassVar[str] = "Protection"
    PRODUCTION: ClassVar = {"auth_required": True, "docs_enabled": False}

    docs_enabled: bool = Field(True, description="Serve `/docs` and `/openapi.json`.")
    auth_required: bool = Field(False, description="Demand an API key (health stays open).")
    api_keys: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)] = Field(
        (),
        json_schema_extra={"secret": True},
        description="Valid keys, comma-separated `NAME:sha256:HEX`, as the command `new-key` "
        "prints them. Several are valid at once, for rotation.",
    )
    cors_origins: Names = Field(
        (), description="Origins that browsers may call from, comma-separated; none by default."
    )
    request_max_bytes: int = Field(
        262_144, ge=1024, le=67_108_864, description="Largest request body, in bytes."
    )
    url_max_bytes: int = Field(
        4096, ge=256, le=65_536, description="Longest path and query, in bytes."
    )
    body_timeout: Seconds = Field(
        20.0, description="Time for a client to send its body, in seconds."
    )

    @field_validator("cors_origins")
    @classmethod
    def _check_cors_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if (
                parts.scheme not in {"http", "https"}
                or f"{parts.scheme}://{parts.netloc}" != origin
            ):
                raise expected("origins such as https://app.example.org, without path or '*'")
        return value

    @field_validator("api_keys")
    @classmethod
    def _check_api_keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_API_KEY.fullmatch(key) for key in value):
            raise expected("NAME:sha256:HEX entries, as the command new-key prints them")
        return value

    def conflicts(self) -> Iterator[str]:
        """Keys that are demanded have to be there."""
        if self.auth_required and not self.api_keys:
            yield "API_KEYS: got nothing; expected at least one key, because AUTH_REQUIRED is true"

    def key_digests(self) -> dict[str, bytes]:
        """The valid API keys: SHA-256 digest of each, by name; the same name may come twice."""
        digests = {}
        for position, key in enumerate(self.api_keys):
            name, _, digest = key.split(":")
            digests[name if name not in digests else f"{name}#{position}"] = bytes.fromhex(digest)
        return digests
