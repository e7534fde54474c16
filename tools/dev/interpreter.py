"""How to start another Python. By itself: whoever needs no more than that starts sooner."""

import re
import sys
from pathlib import Path


def python_command() -> list[str]:
    """How to start another Python like this one.

    An interpreter that was started through its own dynamic loader cannot be started through
    `sys.executable`: then this process' own command line says how.
    """
    if not Path("/proc/self/exe").resolve().name.startswith("ld-linux"):
        return [sys.executable]
    words = Path("/proc/self/cmdline").read_bytes().decode().split("\0")
    command: list[str] = []
    for word in words:
        command.append(word)
        if re.fullmatch(r"python3(\.\d+)?", Path(word).name) and command[-2] != "--argv0":
            return command
    raise AssertionError(f"no interpreter in {words}")
