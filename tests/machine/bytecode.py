"""Compiles what the tests import before the virtual machine boots: in it, that takes a minute.

Python finds byte-code below a folder of its own by the source's path (PYTHONPYCACHEPREFIX), which
is the same in the virtual machine.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

VARIABLE = "PYTHONPYCACHEPREFIX"


def write(folder: Path, arguments: Sequence[str]) -> None:
    """Fills an empty folder; `arguments` are those that pytest gets.

    What cannot be imported is not compiled, and is told of by the tests themselves.
    """
    environment = {
        **os.environ,
        VARIABLE: str(folder),
        "PYTHONDONTWRITEBYTECODE": "",
        "TEST_TMPDIR": str(folder),
    }
    for name in ("TEST_SHARD_STATUS_FILE", "XML_OUTPUT_FILE"):
        environment.pop(name, None)
    subprocess.run(
        [sys.executable, "-m", "tests.machine.bytecode", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


if __name__ == "__main__":
    from tests.container import main
    from tests.machine import guest
    from tools.pytest import runner

    del main, guest
    runner.main(["--collect-only", *sys.argv[1:]])
