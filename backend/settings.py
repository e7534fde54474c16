"""The settings of the todo service: the sum of the sections of the rooms it uses."""

from collections.abc import Iterator

from pydantic import SecretStr

from backend.suggestions.settings import AiSettings
from backend.todos.settings import TodoSettings
from serving.data.settings import DatabaseSettings, database_url_field
from serving.feed.settings import FeedSettings
from serving.process.settings import ServiceSettings
from serving.trace.settings import TraceSettings


class Settings(
    ServiceSettings, DatabaseSettings, TodoSettings, FeedSettings, AiSettings, TraceSettings
):
    """What the todo service can be told."""

    database_url: SecretStr = database_url_field("todo-backend.db")

    def conflicts(self) -> Iterator[str]:
        """Several processes cannot share a SQLite file's change feed; answers wait for the AI's."""
        if self.response_timeout <= self.ai_total_timeout:
            yield (
                f"RESPONSE_TIMEOUT: got {self.response_timeout:g}; expected more than "
                f"AI_TOTAL_TIMEOUT ({self.ai_total_timeout:g})"
            )
        if self.workers > 1 and self.is_sqlite:
            yield (
                f"WORKERS: got {self.workers}; expected 1 with SQLite, or a PostgreSQL DATABASE_URL"
            )
