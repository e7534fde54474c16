"""git, in a checkout that may belong to another user."""

import os
import subprocess
from pathlib import Path

# Set within git's hooks, where they name another checkout.
_ELSEWHERE = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"})


def output(folder: Path, *words: str) -> bytes:
    """What a git command prints; nothing of the checkout's configuration is run.

    Raises:
        FileNotFoundError: there is no git, or no such folder.
        CalledProcessError: it fails; `stderr` has its words.
    """
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", *words],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in _ELSEWHERE},
        capture_output=True,
        check=True,
    )
    return done.stdout
