"""Runs crane, and waits as long as a registry asks for (RFC 9110, Retry-After) before the next try.

crane repeats what fails with 5xx at intervals of its own, and what fails with 429 not at all. What
a registry has answered, it shows only in its log of requests; of that nothing is passed on.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from rules.publish.error import PublishError

_TRIES = 5
# Seconds. Whoever is asked for more has rather to decide that himself.
LONGEST = 120.0

_STAMP = r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d "
_ANSWER = re.compile(rf"{_STAMP}<-- (\d{{3}}) ")
_ABSENT = re.compile(rf"{_STAMP}<-- 404 \S+/manifests/(sha256:[0-9a-f]{{64}}) ")
# What crane says without being asked for its log.
_MESSAGE = re.compile(rf"Error: |{_STAMP}(?!-->|<--|[A-Z]+ /|HTTP/)")
_HEADER = re.compile(r"Retry-After: *(.+)", re.IGNORECASE)


class Answers:
    """What a registry answered in one run, read from crane's log.

    Attributes:
        absent: digests of manifests that it did not have.
    """

    def __init__(self) -> None:
        self.absent: set[str] = set()
        self._refusing = 0
        self._busy = False
        self._asked: list[float] = []

    def read(self, line: str, now: datetime) -> str:
        """Takes a line; returns what of it is for the person, or ""."""
        if answer := _ANSWER.match(line):
            status = int(answer[1])
            self._refusing = status if status == 429 or status >= 500 else 0
            self._busy = self._busy or self._refusing == 429
            if absent := _ABSENT.match(line):
                self.absent.add(absent[1])
        elif self._refusing and (header := _HEADER.match(line)):
            self._asked.append(seconds(header[1].strip(), now))
        return line if _MESSAGE.match(line) else ""

    def wait(self, attempt: int) -> float | None:
        """Seconds until the next try; `None` where the registry did not ask for one."""
        if self._asked:
            return max(self._asked)
        return float(2**attempt) if self._busy else None


def seconds(value: str, now: datetime) -> float:
    """What the header asks for: a number of seconds, or a date; 1 where it is neither."""
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return 1.0
    return max(0.0, (date.astimezone(UTC) - now).total_seconds())


def run(command: Sequence[str], absent: set[str] | None = None) -> bool:
    """Runs crane; returns whether it did what it was told to.

    Args:
        command: the program and its arguments.
        absent: gets the digests of manifests that the registry did not have before.

    Raises:
        PublishError: the registry asks for a longer time than `LONGEST`.
    """
    for attempt in range(_TRIES):
        answers = Answers()
        with subprocess.Popen(
            [command[0], "-v", *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            assert process.stderr is not None
            try:
                _show(answers, process.stderr)
            except BaseException:
                process.terminate()
                raise
        if absent is not None:
            absent |= answers.absent
        if not process.returncode:
            return True
        wait = answers.wait(attempt)
        if wait is None or attempt + 1 == _TRIES:
            return False
        if wait > LONGEST:
            raise PublishError(
                f"the registry asks to wait for {wait:.0f} seconds, and at most {LONGEST:.0f} are "
                "waited for. No tag was moved: run the same command once more then"
            )
        print(f"The registry is busy: next try in {wait:.0f} s", file=sys.stderr, flush=True)
        time.sleep(wait)
    return False


def _show(answers: Answers, lines: Iterable[bytes]) -> None:
    for line in lines:
        if said := answers.read(line.decode(errors="replace").rstrip(), datetime.now(UTC)):
            print(said, file=sys.stderr, flush=True)
