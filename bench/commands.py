"""Commands that a bench runs: what it started ends with it, in order."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.signals import termination

_SHOWN_LINES = 20
_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class BenchError(Exception):
    """A bench cannot measure; the text says what was expected, what came, and what to do."""


def run(
    command: Sequence[str | Path],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What a command prints.

    Where this program is ended meanwhile, the command is too, and has time to clean up.

    Raises:
        BenchError: it fails, or cannot be started; the text has its last lines.
    """
    words = [str(word) for word in command]
    # A file, since a pipe stays open for as long as anything that the command left behind runs.
    with (
        tempfile.TemporaryFile("w+", errors="replace") as out,
        tempfile.TemporaryFile("w+", errors="replace") as said,
    ):
        process = None
        try:
            with termination.held():
                process = subprocess.Popen(
                    words,
                    cwd=folder,
                    env=here() if environment is None else environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=said,
                    start_new_session=True,
                )
            process.wait()
        except OSError as error:
            raise BenchError(f"{words[0]} cannot be started: {error}") from error
        except BaseException:
            if process:
                end(process)
            raise
        out.seek(0)
        said.seek(0)
        printed = out.read()
        if process.returncode:
            tail = "\n".join(f"{printed}\n{said.read()}".strip().splitlines()[-_SHOWN_LINES:])
            raise BenchError(f"{' '.join(words[:4])} ended with {process.returncode}:\n{tail}")
        return printed


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process, which may take a while to clean up, and then what is left of its session."""
    termination.end(process)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def here() -> Mapping[str, str]:
    """The person's environment, without what `bazel run` added to it."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BUILD_", "RUNFILES", "JAVA_RUNFILES", "PYTHON", "TEST_"))
    }


def need(programs: Mapping[str, str]) -> None:
    """Makes sure of programs.

    Args:
        programs: Debian's package by the program that it brings.

    Raises:
        BenchError: some are missing; the text is the line to type.
    """
    missing = {name: package for name, package in programs.items() if find(name) is None}
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        raise BenchError(
            f"{', '.join(sorted(missing))} missing. As root: "
            f"apt-get install --no-install-recommends {packages}"
        )


def find(program: str) -> str | None:
    """The path of a program; an ordinary user's PATH often ends before sbin."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *_FOLDERS]))
