"""The variables of the change feed and its WebSockets."""

from typing import ClassVar

from pydantic import Field

from serving.settings.section import Section


class FeedSettings(Section):
    """How many sockets, how far one may lag, and how long events are kept."""

    TITLE: ClassVar[str] = "WebSocket"

    ws_max_connections: int = Field(2000, ge=0, description="Sockets in one process.")
    ws_max_connections_per_client: int = Field(
        1100, ge=1, description="Sockets of one API key (without keys: of one address)."
    )
    ws_queue_size: int = Field(
        256, ge=1, le=100_000, description="Events a slow consumer may lag before close code 1013."
    )
    ws_replay_limit: int = Field(
        1000, ge=1, le=100_000, description="Most events a resuming client is sent."
    )
    event_retention_hours: int = Field(
        24, ge=1, le=720, description="How long events can be resumed from, in hours."
    )
