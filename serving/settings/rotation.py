"""Secrets in mounted files, read again while the service runs.

Kubernetes, and people, replace such a file when a secret changes. Whoever uses the secret asks
`current` each time; all that this costs is a look at the files' time stamps every few seconds.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from serving.settings.errors import SettingsError
from serving.settings.load import describe
from serving.settings.section import Section

# How old a secret may be that is still used, at most.
CHECK_SECONDS = 2.0

type Stamp = tuple[int, int, int]

logger = logging.getLogger(__name__)


class Rotating[S: Section]:
    """Settings, some of whose secrets may come from files that change.

    A file that cannot be read or does not hold what it should changes nothing: that is logged,
    once, and what was read before stays in force.

    Args:
        settings: as they were read at the start.
        names: of the secrets that are looked at; those without a file stay as they are.
        clock: in seconds.
    """

    def __init__(
        self, settings: S, *names: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._current = settings
        self._clock = clock
        self._files = {
            name: Path(path) for name in names if (path := os.environ.get(f"{name.upper()}_FILE"))
        }
        self._stamps = {name: _stamp(path) for name, path in self._files.items()}
        self._due = clock() + CHECK_SECONDS
        self._watch: asyncio.Task[None] | None = None
        self.version = 0
        self.previous: S | None = None

    @property
    def rotates(self) -> bool:
        """Whether there is a file to look at."""
        return bool(self._files)

    @property
    def current(self) -> S:
        """The settings with the secrets that the files hold now, or did a few seconds ago.

        `version` rises with each change, and `previous` is what was in force before.
        """
        if self._files and self._clock() >= self._due:
            self._look()
        return self._current

    async def changed(self, version: int) -> None:
        """Return when the settings are another version than that one."""
        while self.version == version:
            # One task looks for all that wait.
            if self._watch is None or self._watch.done():
                self._watch = asyncio.create_task(self._until_changed(version))
            await asyncio.shield(self._watch)

    async def _until_changed(self, version: int) -> None:
        while self.version == version:
            await asyncio.sleep(CHECK_SECONDS)
            # Asking is what looks.
            _ = self.current

    def _look(self) -> None:
        self._due = self._clock() + CHECK_SECONDS
        stamps = {name: _stamp(path) for name, path in self._files.items()}
        if stamps == self._stamps:
            return
        changed = [f"{name.upper()}_FILE" for name in stamps if stamps[name] != self._stamps[name]]
        self._stamps = stamps
        try:
            read = self._read()
        except SettingsError as error:
            logger.error(  # noqa: TRY400  (the traceback might quote what is secret)
                "%s; what was read before stays in force", "; ".join(error.problems)
            )
            return
        if read == self._current:
            return
        self.previous, self._current = self._current, read
        self.version += 1
        logger.info("%s changed and is in force", " and ".join(changed))

    def _read(self) -> S:
        """The same settings, with what the files hold.

        Raises:
            SettingsError: a file cannot be read, or holds something else.
        """
        settings = type(self._current)
        kept = {
            name: getattr(self._current, name)
            for name in self._current.model_fields_set
            if name not in self._files
        }
        try:
            return settings(**kept)
        except ValidationError as error:
            raise SettingsError(describe(settings, error)[0]) from None


def _stamp(path: Path) -> Stamp | None:
    """What changes when a file is written or replaced; `None` where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
