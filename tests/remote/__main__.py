"""Builds the image on a build farm that it starts on this machine, and compares.

    tools/bazel run //tests/remote [-- --serve N | --measure]

It starts a scheduler, a cache and workers, and shows what docs/remote.md promises. With `--serve`
it starts them with N workers, prints what to write into user.bazelrc, and ends with Ctrl-C. The
exit code is 0 where all holds, 1 where something does not.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tests.remote.clone import BazelError, Build, Clone
from tests.remote.farm import PROPERTIES, Farm, FarmError
from tests.reproducibility.checkout import BuildError
from tools.dev.postgres import PostgresError

INDEX = "//image:index"
DIGEST = "//image:index.digest"
UNDECLARED = "//tests/remote:undeclared"
# Another depth, and characters that paths in careless inputs and keys would show.
ODD = "another place/zwei Klöne"
_INDEX_FOLDER = "image/index"
_DIGEST_FILE = "image/index.json.sha256"
_LEAST_HITS = 0.95
# The digest is a line of 71 bytes; a layer is a few megabytes.
_MOST_BYTES = 1_000_000
_GIGABYTES = 6.0
# What a root has to lack for its workers to prove that actions bring their own.
_TABOO = ("python", "java", "jdk", "jvm")
_REFUSED_SECONDS = 120.0


class Failure(Exception):  # noqa: N818 - of a check, which is no error of the program
    """Something does not hold; the text says what was expected and what came."""


def main(arguments: Sequence[str]) -> int:
    """Runs all checks, or the farm alone."""
    parser = argparse.ArgumentParser(prog="remote", description=__doc__)
    parser.add_argument("--postgres", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--worker", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=int, metavar="N", help="start the farm with N workers")
    parser.add_argument("--measure", action="store_true", help="compare 1 and 2 workers, besides")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    scratch = Path(tempfile.mkdtemp(prefix="remote-"))
    # A database's processes are somebody else's.
    scratch.chmod(0o755)
    try:
        with Farm(
            scratch / "farm",
            postgres=options.postgres.resolve(),
            worker=options.worker.resolve(),
        ) as farm:
            if options.serve is not None:
                return _serve(farm, options.serve)
            _lacks_interpreters(options.worker.resolve())
            return _Checks(farm, scratch).run(measure=options.measure)
    except (BazelError, BuildError, Failure, FarmError, PostgresError, OSError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _serve(farm: Farm, workers: int) -> int:
    for number in range(workers):
        farm.add_worker(f"worker-{number + 1}")
    print(f"{workers} workers serve until Ctrl-C. In user.bazelrc:\n")
    for option in _options(farm):
        print(f"    build:remote {option}")
    print("\n    tools/bazel build --config=remote //image", flush=True)
    signal.pause()
    return 0


def _options(farm: Farm) -> list[str]:
    properties = (f"--remote_default_exec_properties={key}={PROPERTIES[key]}" for key in PROPERTIES)
    return [f"--remote_executor={farm.address}", *properties]


def _lacks_interpreters(root: Path) -> None:
    found = [
        str(path.relative_to(root))
        for folder in ("usr/bin", "usr/lib", "usr/lib/x86_64-linux-gnu")
        for path in (root / folder).iterdir()
        if path.name.startswith(_TABOO)
    ]
    if found:
        raise Failure(f"the worker's root: expected no Python and no Java, got {', '.join(found)}")


class _Checks:
    def __init__(self, farm: Farm, scratch: Path) -> None:
        self._farm = farm
        self._scratch = scratch
        self._workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY") or Path.cwd())
        self._began = time.monotonic()
        self._clones: list[Clone] = []

    def run(self, *, measure: bool) -> int:
        free = shutil.disk_usage(self._scratch).free / 1e9
        if free < _GIGABYTES:
            raise Failure(f"{self._scratch}: expected {_GIGABYTES:g} GB free, got {free:.1f}")
        try:
            return self._run(measure=measure)
        finally:
            for clone in self._clones:
                clone.remove()

    def _run(self, *, measure: bool) -> int:
        first = self._clone("one")
        alone = first.build(INDEX, DIGEST)
        digest = _digest(first)
        self._say(f"on this machine alone: {alone}; {digest}")
        self._farm.add_worker("one")
        if measure:
            first.clean()
            one = self._remote(first, "--noremote_accept_cached")
            self._say(f"one worker: {one}")
        self._farm.add_worker("two")
        if measure:
            first.clean()
            two = self._remote(first, "--noremote_accept_cached")
            self._say(f"two workers: {two}")
        self._undeclared(first)
        self._killed(first, digest)
        second = self._clone(ODD)
        self._cached(second, alone, digest)
        self._without_bytes(second, digest)
        self._poisoned(second)
        self._down(second)
        self._say("all of it holds")
        return 0

    def _undeclared(self, clone: Clone) -> None:
        """Workers have nothing but what actions declare: one that uses more fails."""
        try:
            self._remote(clone, targets=[UNDECLARED])
        except BazelError as error:
            if "python3: No such file" not in str(error):
                raise
            self._say("an action that uses the machine's Python fails on a worker")
            return
        raise Failure(f"{UNDECLARED} uses a Python that no worker has: expected it to fail")

    def _killed(self, clone: Clone, digest: str) -> None:
        """A worker is gone in the middle of an action, and the build ends as without that."""
        clone.clean()
        victim = self._farm.workers[0]
        with clone.building(
            *("--config=remote", *_options(self._farm), "--noremote_accept_cached"), INDEX, DIGEST
        ) as running:
            while not victim.busy:
                if running.over:
                    raise Failure(
                        "the build was over before the first worker had an action; expected that "
                        f"it runs some: {running.result()}"
                    )
                time.sleep(0.02)
            victim.kill()
            if running.over:
                raise Failure("the build ended before the worker was killed")
            running.wait()
        _only(running.result(), {"remote"})
        _same(clone, digest)
        self._say(f"one of two workers killed in an action: {running.result()}; the same digest")
        files = self._stored()
        size = sum(file.stat().st_size for file in files) / 1e6
        self._say(f"the server stores {len(files)} files, {size:.0f} MB")

    def _cached(self, clone: Clone, alone: Build, digest: str) -> None:
        """Another clone in another place gets everything from the cache, and faster."""
        build = self._remote(clone)
        _only(build, {"remote", "remote cache hit"})
        _same(clone, digest)
        self._say(f"a second clone: {build}; the same digest")
        if build.share("remote cache hit") < _LEAST_HITS:
            raise Failure(f"expected {_LEAST_HITS:.0%} hits of the cache, got {build}")
        if build.seconds >= alone.seconds:
            raise Failure(f"expected less than {alone.seconds:.1f} s, as without, got {build}")

    def _without_bytes(self, clone: Clone, digest: str) -> None:
        """The digest alone is fetched where it alone is asked for."""
        clone.clean()
        build = self._remote(clone, "--remote_download_toplevel", targets=[DIGEST])
        _same(clone, digest)
        size = clone.outputs()
        if size > _MOST_BYTES:
            raise Failure(f"expected at most {_MOST_BYTES} bytes of outputs here, got {size}")
        self._say(f"the digest alone: {build}; {size / 1000:.0f} kB of outputs here")
        clone.clean()
        minimal = self._remote(clone, "--remote_download_minimal", targets=[DIGEST])
        if clone.built(_DIGEST_FILE).exists():
            raise Failure(f"{_DIGEST_FILE}: expected nothing here with --remote_download_minimal")
        self._say(f"nothing at all fetched: {minimal}")

    def _poisoned(self, clone: Clone) -> None:
        """A cache that gives wrong bytes is found out, by the hash that Bazel asked for."""
        self._remote(clone)
        # Larger files are stored, which nobody fetches: they only go from one action to another.
        blobs = (clone.built(_INDEX_FOLDER) / "blobs/sha256").iterdir()
        genuine = max(blobs, key=lambda path: path.stat().st_size).read_bytes()
        (layer,) = [
            path
            for path in self._stored()
            if path.stat().st_size == len(genuine) and path.read_bytes() == genuine
        ]
        layer.chmod(0o644)
        layer.write_bytes(genuine[:-1] + bytes([genuine[-1] ^ 1]))
        clone.clean()
        try:
            said = self._refused(clone, "digest", options=_options(self._farm))
        finally:
            layer.write_bytes(genuine)
        self._say(f"a changed file in the cache is refused: {said}")

    def _down(self, clone: Clone) -> None:
        """Without the server, and at a wrong address, a build ends and says so."""
        said = self._refused(clone, "UNAVAILABLE", options=["--remote_executor=grpc://127.0.0.1:1"])
        self._say(f"a wrong address is named: {said}")
        options = _options(self._farm)
        self._farm.stop()
        clone.clean()
        said = self._refused(clone, "UNAVAILABLE", options=options)
        self._say(f"a server that is down is named: {said}")

    def _refused(self, clone: Clone, word: str, *, options: Sequence[str]) -> str:
        """What Bazel says of a build that has to fail, in the line that has a word."""
        began = time.monotonic()
        try:
            built = clone.build("--config=remote", *options, "--remote_retries=2", INDEX)
        except BazelError as error:
            lines = [line for line in str(error).splitlines()[1:] if word in line]
            if not lines:
                raise Failure(f"expected {word} in what Bazel says, got:\n{error}") from None
            if time.monotonic() - began > _REFUSED_SECONDS:
                raise Failure(f"it took Bazel {time.monotonic() - began:.0f} s to say so") from None
            return lines[0]
        raise Failure(f"expected that the build fails and names {word}, got {built}")

    def _remote(self, clone: Clone, *words: str, targets: Sequence[str] = (INDEX, DIGEST)) -> Build:
        return clone.build("--config=remote", *_options(self._farm), *words, *targets)

    def _clone(self, name: str) -> Clone:
        output = self._scratch / f"output-{len(self._clones) + 1}"
        clone = Clone(self._workspace, self._scratch / name, output)
        self._clones.append(clone)
        clone.fetch(INDEX)
        return clone

    def _stored(self) -> list[Path]:
        return [path for path in self._farm.storage.rglob("*") if path.is_file()]

    def _say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:4.0f} s] {text}", flush=True)


def _digest(clone: Clone) -> str:
    return clone.built(_DIGEST_FILE).read_text().strip()


def _same(clone: Clone, digest: str) -> None:
    if (got := _digest(clone)) != digest:
        raise Failure(f"{clone.folder}: expected the digest {digest}, got {got}")


def _only(build: Build, runners: set[str]) -> None:
    if not build.spawns or set(build.runners) - runners:
        raise Failure(f"expected actions by {' and '.join(sorted(runners))} alone, got {build}")


def _stop(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
