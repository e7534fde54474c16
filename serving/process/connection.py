"""The life of a connection: its states, the limit of each, and who watches the clock.

HTTP and WebSocket connections both come through here. Each is in one state at a time, each state
has a deadline and a limit of bytes, counted before any parser sees them, and each ends in a defined
way: an answer where one is due, then an orderly close. One clock serves all connections of a
process, because setting a timer for each request costs more than all that is checked here.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from email.utils import formatdate
from enum import Enum, auto
from http import HTTPStatus
from typing import Protocol

from serving.process.settings import ConnectionSettings
from serving.watch.registry import Registry
from serving.web.gate import CLOSE, SECURITY_HEADERS
from serving.web.problems import MEDIA_TYPE, Problems
from serving.web.settings import WebSettings

# How long, and how far, a client that was refused is read on after, so that the refusal reaches it:
# closing at once would reset the connection and could lose it (RFC 9112 section 9.6).
LINGER_SECONDS = 2.0
LINGER_BYTES = 1 << 20

# Connections above the most that are held, for probes alone; the newest displaces the oldest.
RESERVED_CONNECTIONS = 16
RESERVED_SECONDS = 2.0

# What the gate puts on every answer that passes it; without `no-store` a cache may keep a refusal.
_MARKS = b"".join(b"%b: %b\r\n" % pair for pair in (*SECURITY_HEADERS, CLOSE)) + b"\r\n"

_SHORTEST_TICK = 0.05
_LONGEST_TICK = 1.0


class State(Enum):
    """Where an HTTP connection stands.

    IDLE: nothing of a request has come. HEAD: a part of its head. BODY: its head, and a part of
    a body whose length is known. CHUNKS: the same for a chunked body, trailers included. SURPLUS:
    more of a body than is taken, which is dropped. ANSWER: all of it has come, the response has
    not gone. CLOSING: the last words are said. A handshake that succeeds hands the connection over
    to the WebSocket's own states.
    """

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    CHUNKS = auto()
    SURPLUS = auto()
    ANSWER = auto()
    CLOSING = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a connection may take; bytes and seconds, from the settings of the same names."""

    max_connections: int
    header_max_bytes: int
    header_max_fields: int
    url_max_bytes: int
    request_max_bytes: int
    header_timeout: float
    body_timeout: float
    response_timeout: float
    write_timeout: float
    keep_alive_timeout: float
    ws_max_frames_per_minute: int

    @classmethod
    def of(cls, connections: ConnectionSettings, web: WebSettings) -> "Limits":
        """Those of the sections."""
        of_web = {"url_max_bytes", "request_max_bytes", "body_timeout"}
        return cls(
            **{
                one.name: getattr(web if one.name in of_web else connections, one.name)
                for one in fields(cls)
            }
        )

    @property
    def shortest(self) -> float:
        """The shortest time that a connection waits for anything."""
        times = (self.header_timeout, self.body_timeout, self.response_timeout)
        return min(*times, self.write_timeout, self.keep_alive_timeout, RESERVED_SECONDS)


class Refusal(Exception):  # noqa: N818  (an answer, in the reader's words)
    """Why a connection ends before its request reaches the application.

    Attributes:
        status: of the response.
        slug: ends the problem's type URI; counted in `http_refused_total`.
        detail: for the person reading.
        field: a line of the response's header that the status demands.
    """

    def __init__(self, status: int, slug: str, detail: str, *, field: str = "") -> None:
        super().__init__(detail)
        self.field = f"{field}\r\n" if field else ""
        self.status = status
        self.slug = slug
        self.detail = detail

    def response(self, problems: Problems, *, with_body: bool = True) -> bytes:
        """The refusal on the wire: a problem document (RFC 9457), the connection's last."""
        status = HTTPStatus(self.status)
        body = json.dumps(problems.document(self.status, self.slug, self.detail)).encode()
        extra = self.field
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            extra = "retry-after: 1\r\n"
        elif status == HTTPStatus.UPGRADE_REQUIRED:
            # RFC 9110 sections 15.5.22 and 7.8.
            extra += "upgrade: websocket\r\nconnection: upgrade\r\n"
        head = (
            f"HTTP/1.1 {self.status} {status.phrase}\r\ndate: {formatdate(usegmt=True)}\r\n"
            f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n{extra}"
        )
        return b"".join((head.encode(), _MARKS, body if with_body else b""))


class RefusalMetrics:
    """Counts what never reached the application, by the reason."""

    def __init__(self, registry: Registry) -> None:
        self._refused = registry.counter(
            "http_refused",
            "Requests, handshakes and connections ended below the application, by reason.",
            "reason",
        )

    def count(self, reason: str) -> None:
        """One more."""
        self._refused.labels(reason).inc()


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all connections of a process share.

    Attributes:
        limits: of each.
        clock: watches their deadlines.
        problems: writes their refusals.
        count: is told the reason of every refusal.
        probes: how targets begin that are answered although every connection is taken.
        reserved: connections above the most that are held, oldest first.
    """

    limits: Limits
    clock: "Clock"
    problems: Problems
    count: Callable[[str], None]
    probes: tuple[bytes, ...] = ()
    reserved: "OrderedDict[Timed, None]" = field(default_factory=OrderedDict)


class Timed(Protocol):
    """A connection with a deadline on the event loop's clock."""

    deadline: float
    transport: asyncio.Transport

    def late(self, now: float) -> None:
        """The deadline has passed: end, or set another."""


class Clock:
    """Tells connections that their deadline has passed, at most one tick later.

    A tick is a quarter of the shortest time that anybody waits for, within a second; looking at ten
    thousand connections takes less than a millisecond.
    """

    def __init__(self, shortest: float) -> None:
        self._tick = min(_LONGEST_TICK, max(_SHORTEST_TICK, shortest / 4))
        self._connections: set[Timed] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, connection: Timed) -> None:
        """Begin to look at a connection."""
        self._connections.add(connection)
        if self._timer is None:
            self._arm()

    def forget(self, connection: Timed) -> None:
        """It has ended."""
        self._connections.discard(connection)

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._tick, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for connection in [one for one in self._connections if one.deadline <= now]:
            connection.late(now)
        if self._connections:
            self._arm()
