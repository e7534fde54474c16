"""The variables of logs and metrics."""

from typing import ClassVar, Literal

from pydantic import Field

from serving.settings.section import Section


class WatchSettings(Section):
    """What is told to those who run the service."""

    TITLE: ClassVar[str] = "Logs and metrics"
    PRODUCTION: ClassVar = {"log_format": "json"}

    log_format: Literal["text", "json"] = Field(
        "text", description="One line per event, either way."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe level that is logged."
    )
    revision: str = Field("unknown", max_length=64, description="Source revision, for `/metrics`.")
