"""What diffoscope says of two files, where it is installed."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

_LINES = 40
# Each takes seconds: the first few say what is wrong with all.
_FILES = 5
_SECONDS = 60


class Diffoscope:
    """Asks diffoscope about files whose kind is unknown here; silent where it is missing."""

    def __init__(self, scratch: str) -> None:
        self._program = shutil.which("diffoscope")
        self._scratch = scratch
        self._asked = 0

    def __call__(self, path: str, left: bytes, right: bytes) -> Sequence[str]:
        """Lines of its report, at most 40; none after the fifth file, or where it fails."""
        if self._program is None or self._asked == _FILES:
            return ()
        self._asked += 1
        name = path.rpartition("/")[2]
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            files = [Path(folder, side, name) for side in ("A", "B")]
            for file, content in zip(files, (left, right), strict=True):
                file.parent.mkdir()
                file.write_bytes(content)
            try:
                done = subprocess.run(
                    [self._program, "--text=-", "--no-progress", "A/" + name, "B/" + name],
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=_SECONDS,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired):
                return ()
        lines = done.stdout.splitlines() if done.returncode == 1 else []
        more = [f"… {len(lines) - _LINES} lines more: diffoscope has them"]
        if not lines:
            return ()
        return ["diffoscope:", *lines[:_LINES], *(more if len(lines) > _LINES else [])]
