"""Builds and tests on a machine that has no network, from nothing but a clone and a bundle.

    tools/bazel run //tools/debian/tests/offline [-- --bundle FILE] [--again]

The machine is a network namespace in which no interface is up, and HOME and cache folder are empty.
The digest has to be the one that is built here. Without `--bundle` one is written first. With
`--again` the machine without network writes a bundle of its own, which has to be the same bytes.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from tools.debian.tests.clones import copies
from tools.signals import termination

INDEX = ("//image:index", "//image:index.digest")
# Unit tests of the programs that make images and of what services stand on. None needs root; some
# of serving start a PostgreSQL of the locked packages.
TESTS = (
    "//rules/...",
    "//serving/...",
    "//tools/debian/builder/...",
    "//tools/debian/tests/rules_python/...",
    "//tools/locks/...",
)
_DIGEST = "bazel-bin/image/index.json.sha256"
_INSIDE = "--inside"
_GIGABYTES = 8.0
# linux/sockios.h and linux/if.h.
_SIOCGIFFLAGS = 0x8913
_IFF_UP = 1


class OfflineError(Exception):
    """Something does not hold; the text says what was expected and what came."""


@termination.terminable()
def main(arguments: list[str]) -> int:
    """Prints what holds; returns 1 at the first thing that does not."""
    if arguments[:1] == [_INSIDE]:
        _inside(arguments[1:])
    parser = argparse.ArgumentParser(prog="offline", description=__doc__)
    parser.add_argument("--bundle", type=Path, help="a bundle of this checkout")
    parser.add_argument("--again", action="store_true", help="write a bundle there, and compare")
    options = parser.parse_args(arguments)
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY") or Path.cwd())
    scratch = Path(tempfile.mkdtemp(prefix="offline-"))
    given = options.bundle and Path(os.environ["BUILD_WORKING_DIRECTORY"], options.bundle)
    try:
        _check(workspace, scratch, given, again=options.again)
    except (OfflineError, OSError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    finally:
        _remove(scratch)
    return 0


def _check(workspace: Path, scratch: Path, given: Path | None, *, again: bool) -> None:
    free = shutil.disk_usage(scratch).free / 1e9
    if free < _GIGABYTES:
        raise OfflineError(f"{scratch}: expected {_GIGABYTES:g} GB free, got {free:.1f}")
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:4.0f} s] {text}", flush=True)

    _run(["tools/bazel", "build", *INDEX], workspace)
    digest = (workspace / _DIGEST).read_text().strip()
    bundle = given or scratch / "bundle"
    if not given:
        _run(["tools/bazel", "run", "//tools:bundle", "--", str(bundle)], workspace)
    say(f"bundle of {bundle.stat().st_size / 1e6:.0f} MB, {_sha256(bundle)}")
    clone, home = scratch / "clone", scratch / "home"
    home.mkdir()
    copies.copy(workspace, clone)

    _alone(clone, home, ["tools/bazel", "--bundle", str(bundle), "build", *INDEX])
    got = (clone / _DIGEST).read_text().strip()
    if got != digest:
        raise OfflineError(f"expected the digest {digest}, as built here, got {got}")
    say(f"built without network: {got}")
    _alone(clone, home, ["tools/bazel", "test", *TESTS])
    say(f"tested without network: {' '.join(TESTS)}")
    if again:
        second = scratch / "again"
        _alone(clone, home, ["tools/bazel", "run", "//tools:bundle", "--", str(second)])
        if _sha256(second) != _sha256(bundle):
            raise OfflineError("a bundle of what was unpacked: expected the same bytes, got others")
        say("a bundle made there is the same, byte for byte")


def _alone(folder: Path, home: Path, command: Sequence[str]) -> None:
    """Runs a command where no network is, and nothing of the person's but the system's programs."""
    kept = {name: os.environ[name] for name in ("PATH", "BAZEL_FROM") if name in os.environ}
    # An ordinary user needs a user namespace for it, and stays who it is.
    mapped = [] if os.geteuid() == 0 else ["--map-current-user"]
    modules = {"PYTHONPATH": os.pathsep.join(sys.path)}
    _run(
        ["unshare", "--net", *mapped, sys.executable, __file__, _INSIDE, *command],
        folder,
        {**kept, **modules, "HOME": str(home)},
    )


def _inside(command: list[str]) -> NoReturn:
    """Becomes the command, once it is sure that there is no network."""
    if up := [name for _, name in socket.if_nameindex() if _is_up(name)]:
        sys.exit(f"expected no network interface that is up, got {', '.join(up)}")
    os.execvpe(command[0], command, _person())


def _is_up(name: str) -> bool:
    request = struct.pack("16sH14x", name.encode(), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        answer = fcntl.ioctl(control, _SIOCGIFFLAGS, request)
    return bool(struct.unpack("16sH14x", answer)[1] & _IFF_UP)


def _run(command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    """Runs a command to its end, its messages in a file; raises `OfflineError` with their end."""
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        code = termination.run(
            command,
            cwd=folder,
            env=environment if environment is not None else _person(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        if code:
            log.seek(0)
            end = "\n".join(log.read().splitlines()[-40:])
            raise OfflineError(f"{' '.join(command)} ended with {code}:\n{end}")


def _person() -> dict[str, str]:
    """The person's environment, less what Bazel's run added."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BUILD_", "RUNFILES", "PYTHON"))
    }


def _sha256(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _remove(folder: Path) -> None:
    """Removes a tree that has folders without a write bit, as Bazel's outputs are."""
    for path, folders, _ in os.walk(folder):
        for name in folders:
            inner = Path(path, name)
            if not inner.is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
