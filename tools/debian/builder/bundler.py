"""`tools/bazel run //tools:bundle -- FILE`: writes a bundle for machines without any network."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from tools.debian.builder import bundle, command
from tools.debian.builder.error import BuilderError
from tools.locks.error import LockError
from tools.signals import termination

# Everything that a build or a test of this repository reads is fetched by analysing it.
_FETCH = ["build", "--nobuild", "--noshow_progress", "//..."]


@termination.terminable()
def main(arguments: Sequence[str] | None = None) -> int:
    """Fetches what is missing and writes the bundle; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tools/bazel run //tools:bundle --")
    parser.add_argument("file", type=Path, help="the bundle to write")
    parser.add_argument("--lock", type=Path, action="append", default=[], help="a file of hashes")
    options = parser.parse_args(arguments)
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", command.WORKSPACE))
    target = Path(os.environ.get("BUILD_WORKING_DIRECTORY", Path.cwd()), options.file)
    try:
        return _bundle(target, workspace, options.lock)
    except (BuilderError, LockError) as error:
        bundle.say(str(error))
        return 1
    except OSError as error:
        bundle.say(f"{target}: {error.strerror or error}; nothing was written")
        return 1


def _bundle(target: Path, workspace: Path, locks: Sequence[Path]) -> int:
    if not target.parent.is_dir():
        raise BuilderError(f"{target.parent}: no such folder")
    bundle.say("fetching what builds and tests read")
    if termination.run([workspace / "tools/bazel", *_FETCH], cwd=workspace):
        raise BuilderError("fetching failed, see above; nothing was written")
    cache = command.cache_folder(os.environ)
    builder = command.place(cache / "builder")
    command.prepare(builder, tests=True)
    members = bundle.write(target, builder=builder, cache=cache, locks=locks)
    for title, prefix in (
        ("builder root", bundle.ROOT),
        ("packages", bundle.REPOSITORIES),
        ("wheels", bundle.WHEELS),
    ):
        chosen = [member for member in members if member.name.startswith(prefix)]
        size = sum(member.size for member in chosen) / 1e6
        print(f"{title:14} {len(chosen):4} files {size:8.1f} MB")
    print(f"{bundle.sha256(target)}  {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
