"""Unpacks an image to a folder that containers take as their root file system."""

import os
from pathlib import Path

from tests.oci.filesystem import DIRECTORY, FILE, SYMLINK, Entry
from tests.oci.layout import Image

# What a runtime mounts; images need not have them.
_MOUNT_POINTS = ("dev", "proc", "sys", "tmp")


def unpack(image: Image, folder: Path, *, owners: bool) -> None:
    """Writes the image's files below an empty folder.

    With `owners` they belong to whom the image says, which takes root; else to the caller. Raises
    `ValueError` for what is neither file, directory nor symbolic link.
    """
    for entry in image.files:
        path = folder / entry.path.lstrip("/")
        _write(entry, path)
        if owners:
            os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
        if entry.kind != SYMLINK:
            # After the owner: chown(2) takes setuid bits away.
            path.chmod(entry.mode)
    for name in _MOUNT_POINTS:
        (folder / name).mkdir(exist_ok=True)


def _write(entry: Entry, path: Path) -> None:
    if entry.kind == DIRECTORY:
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if entry.kind == SYMLINK:
        path.symlink_to(entry.target)
    elif entry.kind == FILE:
        path.write_bytes(entry.content)
    else:
        raise ValueError(f"{entry.path} is a {entry.kind}")
