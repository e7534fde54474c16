"""A result that does not arrive is an error, of which the program says what it likes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.terminal.result import show, tell
from tools.terminal.tests.full import Full

PROGRAM = """
import sys
from tools.terminal.result import show
try:
    show("text\\n")
except OSError as error:
    print(error.strerror, file=sys.stderr)
    sys.exit(7)
"""


def run(output: int) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_it_is_written_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show("a\nb\n")

    assert capsys.readouterr().out == "a\nb\n"


def test_on_a_full_disk_the_program_says_how_it_ends() -> None:
    with Path("/dev/full").open("wb") as full:
        assert run(full.fileno()) == (7, "No space left on device\n")


def test_where_nobody_reads_the_program_says_how_it_ends() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert run(writing) == (7, "Broken pipe\n")
    finally:
        os.close(writing)


def test_what_was_done_is_done_where_it_cannot_be_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Full())
        tell("text\n")

    assert "WARNING: what changed could not be printed: [Errno 28]" in capsys.readouterr().err
