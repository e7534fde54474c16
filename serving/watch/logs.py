"""Logs: one line per event on standard output, as text or as JSON, with the same fields.

docs/operate.md has the fields; they are an interface.
"""

import functools
import io
import json
import logging
import sys
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from serving.watch.settings import WatchSettings

# Whose request is being answered: in every line that is written meanwhile.
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)

# What a LogRecord has of its own; anything else came in `extra` and belongs in the line.
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return f"{_whole(int(seconds))}.{int(seconds * 1000) % 1000:03d}Z"


@functools.lru_cache(maxsize=2)
def _whole(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """What a line has, but for the exception: the record's extras come last."""
    line: dict[str, Any] = {
        "time": timestamp(record.created),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    request_id = REQUEST_ID.get()
    if request_id is not None:
        line["request_id"] = request_id
    line.update((name, value) for name, value in vars(record).items() if name not in _OWN)
    return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line; a traceback stays inside the line."""
        line = _fields(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """The same for eyes: time, level and logger first; a traceback has lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, and its traceback."""
        line = _text(_fields(record))
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _text(fields: Mapping[str, Any]) -> str:
    named = dict(fields)
    begin = f"{named.pop('time')} {named.pop('level').upper()} {named.pop('logger')}:"
    message = named.pop("message", None)
    words = [] if message is None else [str(message)]
    return " ".join([begin, *words, *(f"{name}={value}" for name, value in named.items())])


def configure(settings: WatchSettings) -> None:
    """Send every logger of this process to standard output."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What a client sent may be in a line, half characters (lone surrogates) too: escaped.
        sys.stdout.reconfigure(errors="backslashreplace")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    # uvicorn's and httpx's own lines repeat ours, and theirs hold whole URLs.
    for name in ("uvicorn.error", "httpx", "httpcore", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True


class AccessLog:
    """Writes one line per request, past `logging`: this is on every request's path."""

    def __init__(self, settings: WatchSettings) -> None:
        self._json = settings.log_format == "json"
        self.enabled = settings.log_level in {"debug", "info"}
        # Probes come every few seconds and say nothing as long as they succeed.
        self.skips_probes = settings.log_level != "debug"

    def write(self, fields: Mapping[str, Any]) -> None:
        """Write one line about a request."""
        named = {"time": timestamp(time.time()), "level": "info", "logger": "access", **fields}
        sys.stdout.write((json.dumps(named) if self._json else _text(named)) + "\n")
