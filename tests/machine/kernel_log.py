"""What AppArmor refused, from the kernel's log (/dev/kmsg; Documentation/ABI/testing/dev-kmsg)."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

KMSG = Path("/dev/kmsg")
_SECONDS = 20.0

# The fields of one refusal, such as operation, profile, name, comm, requested_mask.
Denial = dict[str, str]


def denial(record: str) -> Denial | None:
    """The fields of an audit message of AppArmor's that tells of a refusal; None for any other.

    >>> denial('audit: type=1400 audit(1:2): apparmor="DENIED" operation="open" name="/x" pid=3')
    {'apparmor': 'DENIED', 'operation': 'open', 'name': '/x', 'pid': '3'}
    >>> denial('audit: type=1400 audit(1:2): apparmor="STATUS" operation="profile_load"')
    """
    _, found, rest = record.partition(' apparmor="DENIED"')
    if not found:
        return None
    fields = re.findall(r'(\w+)=(?:"([^"]*)"|(\S+))', found + rest)
    return {name: quoted or bare for name, quoted, bare in fields}


class KernelLog:
    """The refusals since it was opened. Use it as a context."""

    def __init__(self) -> None:
        self._seen: list[Denial] = []
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._descriptor = os.open(KMSG, os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._descriptor, 0, os.SEEK_END)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def take(self) -> list[Denial]:
        """The refusals since the last call, as far as they have been written."""
        while True:
            try:
                # One record a call: "level,sequence,time,flags;text", then lines that start with a
                # space. One that was overwritten before it was read raises BrokenPipeError.
                record = os.read(self._descriptor, 8192).decode(errors="replace")
            except BlockingIOError:
                break
            if found := denial(record):
                self._seen.append(found)
        taken, self._seen = self._seen, []
        return taken

    def until(self, wanted: Callable[[Denial], bool]) -> list[Denial]:
        """The refusals up to one that is waited for, which is the last of them.

        The kernel writes them in order, but after the fact. Raises `TimeoutError` with what came.
        """
        deadline = time.monotonic() + _SECONDS
        taken: list[Denial] = []
        while time.monotonic() < deadline:
            for one in self.take():
                taken.append(one)
                if wanted(one):
                    return taken
            time.sleep(0.02)
        raise TimeoutError(f"the kernel's log did not tell of a refusal; it told of {taken}")
