"""The variables of the todos' routes."""

from typing import ClassVar

from pydantic import Field

from serving.settings.section import Section


class TodoSettings(Section):
    """What is remembered of requests."""

    TITLE: ClassVar[str] = "Todos"

    idempotency_hours: int = Field(
        24, ge=1, le=720, description="How long an Idempotency-Key is remembered, in hours."
    )
