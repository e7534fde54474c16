"""The Chrome DevTools Protocol over a pipe: JSON messages that end with a zero byte."""

import json
import os
import select
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from tools.browser.error import BrowserError

SECONDS = 60.0
_BLOCK = 1 << 16


class Connection:
    """Commands to a browser, one at a time, and the events that come meanwhile.

    `said` tells what the browser has written to its log, for errors.
    """

    def __init__(self, commands: int, answers: int, said: Callable[[], str]) -> None:
        self._commands = commands
        self._answers = answers
        self._said = said
        self._number = 0
        self._rest = b""
        self._messages: deque[Mapping[str, Any]] = deque()
        self.events: list[Mapping[str, Any]] = []

    def call(self, method: str, session: str = "", **parameters: Any) -> Any:
        """The result of a command; raises `BrowserError` for an error, or where none comes."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._send(json.dumps(message).encode() + b"\0")
        answer = self._receive(lambda each: each.get("id") == self._number, method)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error'].get('message')}")
        return answer["result"]

    def wait(self, event: str, session: str) -> None:
        """Waits until an event has come in a session; raises `BrowserError` where none does."""

        def is_it(message: Mapping[str, Any]) -> bool:
            return message.get("method") == event and message.get("sessionId") == session

        if not any(map(is_it, self.events)):
            self._receive(is_it, event)

    def _send(self, content: bytes) -> None:
        try:
            while content:
                content = content[os.write(self._commands, content) :]
        except BrokenPipeError:
            raise BrowserError(f"Chromium has ended:\n{self._said()}") from None

    def _receive(self, wanted: Callable[[Mapping[str, Any]], bool], what: str) -> Mapping[str, Any]:
        end = time.monotonic() + SECONDS
        while True:
            while self._messages:
                message = self._messages.popleft()
                if "method" in message:
                    self.events.append(message)
                if wanted(message):
                    return message
            if not select.select([self._answers], [], [], max(end - time.monotonic(), 0))[0]:
                raise BrowserError(f"{what}: no answer within {SECONDS:.0f} s:\n{self._said()}")
            block = os.read(self._answers, _BLOCK)
            if not block:
                raise BrowserError(f"{what}: Chromium has ended:\n{self._said()}")
            *whole, self._rest = (self._rest + block).split(b"\0")
            self._messages.extend(map(json.loads, whole))
