#!/usr/bin/env python3
"""Tells Bazel which commit is built, for `--config=release` (--workspace_status_command).

Everything said is a function of the commit, so that a release has one digest wherever it is built:
no user, host, branch, tag or clock. Files that differ from the commit are refused, since the labels
would name a commit that the image is not made of.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

_MODULE = re.compile(r"^module\((?P<arguments>[^)]*)\)", re.MULTILINE)
_VERSION = re.compile(r"\bversion\s*=\s*\"(?P<version>[^\"]+)\"")
_SHOWN = 10


class StatusError(Exception):
    """There is no commit to name; the text says why, and what to do."""


def status(folder: Path) -> Mapping[str, str]:
    """Key and value of each line; keys begin with STABLE_, so that an action follows its change.

    Raises `StatusError` where the folder is no checkout, or has changes that are not committed.
    """
    try:
        commit = _git(folder, "log", "-1", "--format=%H %ct", "HEAD")
    except FileNotFoundError as error:
        raise StatusError("a release needs git, which is missing: apt-get install git") from error
    except subprocess.CalledProcessError as error:
        raise StatusError(
            f"a release is built from a commit, and {folder} is no git checkout with one: "
            f"{error.stderr.decode(errors='replace').strip()}. Clone the repository, or build "
            "without --config=release"
        ) from error
    changed = _git(folder, "status", "--porcelain", "--untracked-files=normal").splitlines()
    if changed:
        more = [f"  and {len(changed) - _SHOWN} more"] if len(changed) > _SHOWN else []
        raise StatusError(
            "a release is built from a commit, and these files differ from it:\n"
            + "\n".join([f"  {line}" for line in changed[:_SHOWN]] + more)
            + "\nCommit them (or add them to .gitignore), or build without --config=release"
        )
    revision, seconds = commit.split()
    created = datetime.fromtimestamp(int(seconds), UTC)
    return {
        "STABLE_REVISION": revision,
        "STABLE_CREATED": f"{created:%Y-%m-%dT%H:%M:%SZ}",
        "STABLE_VERSION": _version(folder) or f"{created:%Y%m%d}.g{revision[:12]}",
    }


def _version(folder: Path) -> str | None:
    """The version that MODULE.bazel gives the repository, if it gives one."""
    module = _MODULE.search((folder / "MODULE.bazel").read_text())
    found = _VERSION.search(module["arguments"]) if module else None
    return found["version"] if found else None


def _git(folder: Path, *arguments: str) -> str:
    # The checkout may belong to another user; nothing of its configuration is run.
    command = ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", *arguments]
    environment = {
        name: value
        for name, value in os.environ.items()
        # Set within hooks, where they name another checkout.
        if name not in {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment | {"LC_ALL": "C.UTF-8", "GIT_OPTIONAL_LOCKS": "0"},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


def main() -> int:
    """Prints the lines that Bazel reads; returns the exit code."""
    try:
        lines = status(Path.cwd())
    except StatusError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    for key, value in lines.items():
        print(key, value)
    return 0


if __name__ == "__main__":
    sys.exit(main())
