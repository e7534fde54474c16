"""Commands that a bench runs, and its own end: what it started ends with it, in order."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What a Bazel in mid-build, or a container engine with mounts, may take to end.
_SECONDS_TO_END = 60
_SHOWN_LINES = 20
_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class BenchError(Exception):
    """A bench cannot measure; the text says what was expected, what came, and what to do."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Has SIGINT, SIGTERM and SIGHUP end the program by way of what stands in `finally`.

    The exit code is then 128 and the signal's number. A second signal changes nothing, so that
    nothing is removed by halves.
    """

    def leave(number: int, _frame: object) -> None:
        for one in _ENDING:
            signal.signal(one, signal.SIG_IGN)
        raise SystemExit(128 + number)

    previous = {number: signal.signal(number, leave) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Has signals that end the program take effect afterwards.

    One that came while `Popen` starts a command would leave it running, unknown to anybody.
    """
    held: list[int] = []
    # What is ignored, as by nohup, or ends the program at once, the command has to inherit.
    handled = [number for number in _ENDING if callable(signal.getsignal(number))]
    previous = {
        number: signal.signal(number, lambda got, _frame: held.append(got)) for number in handled
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        # Also where the command could not be started.
        for first in held[:1]:
            signal.raise_signal(first)


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
            with _signals_held():
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
    process.terminate()
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
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
