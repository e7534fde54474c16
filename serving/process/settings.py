"""The variables of the process and of its connections."""

from ipaddress import ip_network
from typing import ClassVar

from pydantic import Field, field_validator

from serving.settings.section import Names, Seconds, Section, expected, one_word
from serving.watch.settings import WatchSettings
from serving.web.settings import WebSettings


class ProcessSettings(Section):
    """Where the service listens, with how many processes, and how it ends."""

    TITLE: ClassVar[str] = "Process"
    PRODUCTION: ClassVar = {"drain_seconds": 5.0}

    host: str = Field(
        "127.0.0.1", description="Address to listen on; images say 0.0.0.0, which is all."
    )
    port: int = Field(8000, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that serve; more than one needs PostgreSQL. "
        "In Kubernetes leave it at 1 and add replicas.",
    )
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

    @field_validator("host")
    @classmethod
    def _check_host(cls, value: str) -> str:
        return one_word(value)


class ConnectionSettings(Section):
    """What one connection may take of the process, in bytes and in time."""

    TITLE: ClassVar[str] = "Connections"

    trusted_proxies: Names = Field(
        (),
        description="Addresses or networks whose X-Forwarded-For and -Proto are believed, "
        "comma-separated.",
    )
    max_connections: int = Field(
        10_000,
        ge=1,
        description="Connections held open; one more gets 503, unless it is a probe.",
    )
    header_max_bytes: int = Field(
        16_384, ge=1024, le=1_048_576, description="Largest request line and header, in bytes."
    )
    header_max_fields: int = Field(100, ge=16, le=10_000, description="Most fields of a header.")
    header_timeout: Seconds = Field(
        10.0, description="Time for a client to send its header, in seconds."
    )
    response_timeout: Seconds = Field(
        60.0,
        description="Time for the service to answer a request that has come, in seconds, before "
        "503.",
    )
    write_timeout: Seconds = Field(
        30.0, description="Time for a client to take a response, in seconds."
    )
    keep_alive_timeout: Seconds = Field(
        75.0,
        description="How long an idle connection stays open, in seconds; keep it above the load "
        "balancer's.",
    )
    ws_max_message_bytes: int = Field(
        4096,
        ge=1,
        le=1_048_576,
        description="Largest WebSocket message of a client, in bytes.",
    )
    ws_max_frames_per_minute: int = Field(
        240,
        ge=10,
        le=1_000_000,
        description="Frames of a client's WebSocket, pings and pongs included; one more gets "
        "close code 1008.",
    )
    ws_ping_interval: Seconds = Field(
        20.0, description="Time between pings of a WebSocket, in seconds."
    )
    ws_ping_timeout: Seconds = Field(
        20.0, description="Time for the pong of a WebSocket, in seconds."
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _check_trusted_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in value:
            try:
                ip_network(proxy)
            except ValueError:
                raise expected("addresses or networks, such as 10.0.0.7 or 10.0.0.0/8") from None
        return value


class ServiceSettings(ProcessSettings, WatchSettings, WebSettings, ConnectionSettings):
    """The sections that every service has; it adds those of the other rooms that it uses."""
