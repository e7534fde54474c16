"""The settings of the sample service: every room's section, and one of its own."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field, SecretStr

from serving.data.settings import DatabaseSettings, database_url_field
from serving.feed.settings import FeedSettings
from serving.process.settings import ServiceSettings
from serving.settings.section import Section, secret
from serving.trace.settings import TraceSettings


class TranslatorSettings(Section):
    """The service that the sample calls."""

    TITLE: ClassVar[str] = "Translator"

    translator_url: str | None = Field(None, description="Base URL; unset: nothing is translated.")
    translator_key: SecretStr | None = secret(description="Bearer token for the translator.")


class Settings(ServiceSettings, DatabaseSettings, FeedSettings, TranslatorSettings, TraceSettings):
    """What the sample service can be told."""

    database_url: SecretStr = database_url_field("sample.db")

    def conflicts(self) -> Iterator[str]:
        """Several processes cannot share a SQLite file's change feed."""
        if self.workers > 1 and self.is_sqlite:
            yield f"WORKERS: got {self.workers}; expected 1 with SQLite"
