"""Copies of the checkout, of what git would commit."""

import os
import subprocess
from pathlib import Path


def files(workspace: Path) -> list[str]:
    """The files of a checkout, as paths from its root: what git has, and what is new."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=workspace, check=True, capture_output=True).stdout
    names = (os.fsdecode(name) for name in listing.split(b"\0") if name)
    return [name for name in names if (workspace / name).is_file()]


def copy(workspace: Path, folder: Path) -> None:
    """Copies a checkout's files, with their modes, into a folder that may be there."""
    for name in files(workspace):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((workspace / name).read_bytes())
        (folder / name).chmod((workspace / name).stat().st_mode & 0o777)
