"""A container's wall clock, which jumps when told to.

The kernel has one CLOCK_REALTIME for all (time_namespaces(7) covers the monotonic ones only), so
libfaketime, preloaded, stands between the service and the C library. What measures durations, the
monotonic clock, is left alone, as a real jump leaves it.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.container.bundle import Mount

_TARGET = "/run/clock"
# The variant for programs with threads.
_LIBRARY = "libfaketimeMT.so.1"


class Clock:
    """What a container is given, and the hand that moves the clock."""

    def __init__(self, folder: Path, files: Path) -> None:
        """`folder` is empty; `files` are those of Debian's package libfaketime.

        Raises `ValueError` where the library is not among them.
        """
        found = sorted(files.rglob(_LIBRARY))
        if len(found) != 1:
            raise ValueError(f"expected one {_LIBRARY} below {files}, got {found}")
        self._offset = folder / "offset"
        library = folder / _LIBRARY
        shutil.copyfile(found[0], library)
        # The container's user is another one.
        library.chmod(0o555)
        folder.chmod(0o755)
        self.mount = Mount(folder, _TARGET)
        self.jump(0)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that make a program follow the clock."""
        return {
            "LD_PRELOAD": f"{_TARGET}/{_LIBRARY}",
            "FAKETIME_TIMESTAMP_FILE": f"{_TARGET}/{self._offset.name}",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # What it does for old C libraries ends each wait of a thread for another at once: two
            # that Python has, such as one that imports, would do nothing but wake each other.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            # Each reading of the clock looks at the file: a jump is for now, not for later.
            "FAKETIME_NO_CACHE": "1",
        }

    def jump(self, days: int) -> None:
        """Sets the clock so many days from the true time."""
        beside = self._offset.with_suffix(".new")
        beside.write_text(f"{days:+d}d\n")
        beside.chmod(0o444)
        beside.rename(self._offset)
