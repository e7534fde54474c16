"""The variables of traces, named as OpenTelemetry has them."""

from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from serving.settings.section import Section, expected, one_word


class TraceSettings(Section):
    """Where spans go, and how many."""

    TITLE: ClassVar[str] = "Traces"
    PRODUCTION: ClassVar = {"otel_traces_sampler_arg": 0.01}

    otel_exporter_otlp_endpoint: str | None = Field(
        None,
        description="Base URL of a collector that takes OTLP over HTTP, such as "
        "`http://collector:4318`; unset: there are no traces.",
    )
    otel_traces_sampler_arg: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the traces that begin here which is recorded. A request with a "
        "`traceparent` is recorded if that says so.",
    )

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _check_endpoint(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(one_word(value))
            known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            known = False
        if not known or parts.query or parts.username or parts.password:
            raise expected("an http:// or https:// URL without user, password and query")
        return value.rstrip("/")
