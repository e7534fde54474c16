"""Processor time is that of a process and of all below it, whether they have ended or not."""

import subprocess
import sys

import pytest

from bench.machine import processor_seconds

BUSY = "import time\nwhile time.process_time() < 0.5: pass\n"
STAYS = BUSY + "print(flush=True)\ninput()\n"
PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-c", {child!r}])
print(flush=True)
input()
"""


@pytest.mark.parametrize(
    "code",
    [
        STAYS,
        PARENT.format(child=BUSY),
        PARENT.format(child=STAYS),
    ],
    ids=["of the process", "of one that has ended", "of one that stays"],
)
def test_it_is_counted(code: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        assert 0.4 < processor_seconds(process.pid) < 5
        process.stdin.close()
