"""How fast the machine is at present: what else runs takes its share of the processors."""

import subprocess
import sys
import threading
import time
from typing import Self

# Prints how many times as long as by itself it waited for its turn and had it, again and again. It
# never asks for more than a fifth of a processor.
_PROGRAM = """
import time
while True:
    began, used = time.monotonic(), time.process_time()
    time.sleep(0.08)
    while time.process_time() - used < 0.02:
        pass
    print((time.monotonic() - began - 0.08) / (time.process_time() - used), flush=True)
"""


class Pace:
    """Measures, in a process of its own, for as long as the block lasts.

    Attributes:
        pid: of that process.
    """

    def __enter__(self) -> Self:
        self._found: list[tuple[float, float]] = []
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM], stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._thread.join()
        self._process.communicate()

    @property
    def turns(self) -> int:
        """How many it has measured."""
        return len(self._found)

    def slowdown(self, began: float) -> float:
        """How many times as long as by itself a process took, on average, since a moment.

        Args:
            began: by `time.monotonic`.
        """
        ratios = [ratio for at, ratio in self._found if at >= began]
        return max(1.0, sum(ratios) / len(ratios)) if ratios else 1.0

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._found.append((time.monotonic(), float(line)))
