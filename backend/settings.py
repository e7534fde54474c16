import tempfile
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_database_url() -> str:
    """SQLite below the temporary folder: the only place a read-only container can write."""
    return f"sqlite:///{Path(tempfile.gettempdir()) / 'todo-backend.db'}"


class Settings(BaseSettings):
    """What the service can be told, from environment variables of the fields' names."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    host: str = Field(default="0.0.0.0", description="Address to listen on.")  # noqa: S104
    port: int = Field(default=8000, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    database_url: str = Field(default_factory=default_database_url, description="Database URL.")
