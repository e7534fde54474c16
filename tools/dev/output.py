"""One log of several programs: each line says whose it is."""

import threading
from typing import IO, TextIO

WIDTH = 8
# ECMA-48 colours. What goes wrong is said by `dev` itself, so that it has none of its own.
_COLOURS = {"postgres": 34, "migrate": 35, "service": 32, "ai": 36, "dev": 1}


class Output:
    """Writes whole lines from any thread.

    Attributes:
        closed: whether nobody reads any more, as after the terminal was closed.
    """

    def __init__(self, stream: TextIO, *, colours: bool) -> None:
        self.closed = False
        self._stream = stream
        self._colours = colours
        self._lock = threading.Lock()

    def line(self, name: str, text: str) -> None:
        """Writes a text of one line or several, each with the name before it."""
        prefix = f"{name:{WIDTH}} | "
        if self._colours and name in _COLOURS:
            prefix = f"\x1b[{_COLOURS[name]}m{prefix}\x1b[0m"
        lines = "".join(f"{prefix}{line}\n" for line in text.splitlines() or [""])
        try:
            with self._lock:
                self._stream.write(lines)
                self._stream.flush()
        except (OSError, ValueError):
            self.closed = True

    def pump(self, name: str, stream: IO[bytes]) -> threading.Thread:
        """Writes what comes from a program, line by line, until its end."""

        def copy() -> None:
            with stream:
                for line in stream:
                    self.line(name, line.decode(errors="replace").rstrip("\r\n"))

        thread = threading.Thread(target=copy, name=name, daemon=True)
        thread.start()
        return thread


class Tail:
    """What is appended to a file, line by line."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._rest = b""

    def lines(self) -> list[str]:
        """The lines that were completed since the last call."""
        *whole, self._rest = (self._rest + self._stream.read()).split(b"\n")
        return [line.decode(errors="replace") for line in whole]
