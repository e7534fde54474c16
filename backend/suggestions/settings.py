"""The variables of the AI service."""

from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, field_validator

from serving.settings.section import Seconds, Section, expected, one_word, secret
from serving.upstream.limits import Limits


class AiSettings(Section):
    """Where the AI service is, and what a call of it may take."""

    TITLE: ClassVar[str] = "AI service"

    ai_base_url: str | None = Field(
        None,
        description="Base URL of an OpenAI-compatible API, such as `http://ai:8080/v1`; unset: "
        "the AI routes answer 503.",
    )
    ai_api_key: SecretStr | None = secret(description="Bearer token for the AI service.")
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

    @field_validator("ai_base_url")
    @classmethod
    def _check_ai_base_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(one_word(value))
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
            raise expected("an http:// or https:// URL without a query")
        if parts.username or parts.password:
            raise expected("a URL without a password; use AI_API_KEY")
        if not _has_port(parts):
            raise expected("a port from 0 to 65535 after the host")
        return value.rstrip("/")

    @field_validator("ai_api_key")
    @classmethod
    def _check_ai_api_key(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else SecretStr(one_word(value.get_secret_value()))

    def conflicts(self) -> Iterator[str]:
        """A call cannot end before it has connected."""
        if self.ai_total_timeout < self.ai_connect_timeout:
            yield (
                f"AI_TOTAL_TIMEOUT: got {self.ai_total_timeout:g}; expected at least "
                f"AI_CONNECT_TIMEOUT ({self.ai_connect_timeout:g})"
            )

    @property
    def ai_limits(self) -> Limits:
        """What the client of the AI service keeps to."""
        return Limits(
            connect_timeout=self.ai_connect_timeout,
            read_timeout=self.ai_read_timeout,
            total_timeout=self.ai_total_timeout,
            retries=self.ai_retries,
            max_concurrency=self.ai_max_concurrency,
            queue_timeout=self.ai_queue_timeout,
            max_response_bytes=self.ai_max_response_bytes,
            breaker_failures=self.ai_breaker_failures,
            breaker_recovery=self.ai_breaker_recovery,
            probe_interval=self.ai_probe_interval,
        )


def _has_port(parts: SplitResult) -> bool:
    """Whether the port of a URL, if there is one, can be one."""
    try:
        return parts.port is None or parts.port >= 0
    except ValueError:
        return False
