"""A clean clone of the checkout, and what Bazel says of the builds in it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.reproducibility.checkout import Sources
from tests.reproducibility.variations import here
from tools.signals.termination import held

_LINES = 25
_STOP_SECONDS = 60.0


class BazelError(Exception):
    """Bazel failed; the text is the end of what it printed."""


@dataclass(frozen=True)
class Build:
    """A build that succeeded.

    Attributes:
        seconds: how long it took, Bazel's own start included.
        runners: how many actions ran where, by Bazel's own count (BuildMetrics in
            build_event_stream.proto): "remote", "remote cache hit", "linux-sandbox" and others.
    """

    seconds: float
    runners: Mapping[str, int]

    @property
    def spawns(self) -> int:
        """How many actions there were that can run elsewhere."""
        return sum(self.runners.values())

    def share(self, runner: str) -> float:
        """The part of them that one runner did."""
        return self.runners.get(runner, 0) / self.spawns if self.spawns else 0.0

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in sorted(self.runners.items()))
        return f"{self.seconds:.1f} s: {counts or 'no action'}"


class Clone:
    """A copy of the checkout, with an output base of its own and no cache but downloads."""

    def __init__(self, workspace: Path, folder: Path, output: Path) -> None:
        """Copies what git would commit; raises `BuildError` where there is no git checkout."""
        self.folder = folder
        self.output = output
        Sources.of(workspace, folder)

    def fetch(self, *targets: str) -> None:
        """Fetches and unpacks what a build reads, and builds nothing."""
        self._bazel("build", "--nobuild", *targets)

    def build(self, *words: str) -> Build:
        """Builds; raises `BazelError`."""
        with self.building(*words) as process:
            process.wait()
        return process.result()

    @contextlib.contextmanager
    def building(self, *words: str) -> Iterator["Running"]:
        """A build that is under way; it has ended at the end of the block."""
        events = self.output.with_suffix(".json")
        command = self._command("build", f"--build_event_json_file={events}", *words)
        running: Running | None = None
        try:
            with held():
                running = Running(self.folder, command, self.output.with_suffix(".log"), events)
            yield running
            running.wait()
        finally:
            if running is not None:
                running.end()

    def clean(self) -> None:
        """Forgets what was built, and keeps what was fetched."""
        self._bazel("clean")

    def built(self, path: str) -> Path:
        """The place of an output, which need not be there."""
        return self.folder / "bazel-bin" / path

    def outputs(self) -> int:
        """How many bytes of outputs are on this machine."""
        root = Path(self._bazel("info", "output_path").strip())
        files = (Path(folder, name) for folder, _, names in os.walk(root) for name in names)
        return sum(file.lstat().st_size for file in files if not file.is_symlink())

    def remove(self) -> None:
        """Ends Bazel's server and removes all of it."""
        with contextlib.suppress(BazelError):
            self._bazel("clean", "--expunge")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _bazel(self, *words: str) -> str:
        done = subprocess.run(
            self._command(*words),
            cwd=self.folder,
            env=here(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BazelError(f"bazel {' '.join(words)}:\n{_end(done.stderr)}")
        return done.stdout

    def _command(self, command: str, *words: str) -> list[str]:
        # A person's own settings may name caches; here there is none but what a test names.
        quiet = ["--color=no", "--curses=no", "--noshow_progress"]
        alone = ["--disk_cache=", "--remote_cache=", "--remote_executor="]
        if command != "build":
            quiet = alone = []
        return ["tools/bazel", f"--output_base={self.output}", command, *quiet, *alone, *words]


class Running:
    """A build that was started."""

    def __init__(self, folder: Path, command: list[str], log: Path, events: Path) -> None:
        self._words = " ".join(command[2:])
        self._log = log
        self._events = events
        self._began = time.monotonic()
        self._seconds = 0.0
        events.unlink(missing_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=here(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def wait(self) -> None:
        """Waits for its end."""
        self._process.wait()
        self._seconds = self._seconds or time.monotonic() - self._began

    def result(self) -> Build:
        """What came of it, once it has ended; raises `BazelError`."""
        if self._process.returncode:
            raise BazelError(f"bazel {self._words}:\n{_end(self._log.read_text(errors='replace'))}")
        runners: dict[str, int] = {}
        for line in self._events.read_text(encoding="utf-8").splitlines():
            summary = json.loads(line).get("buildMetrics", {}).get("actionSummary", {})
            runners |= {one["name"]: int(one["count"]) for one in summary.get("runnerCount", [])}
        for own in ("total", "internal"):
            runners.pop(own, None)
        return Build(self._seconds, runners)

    def end(self) -> None:
        """Asks it to stop, where it has not ended."""
        if self.over:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _end(text: str) -> str:
    return "\n".join(text.splitlines()[-_LINES:])
