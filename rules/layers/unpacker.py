"""Unpacks layers and packages into a folder, for whoever needs files and no container."""

import argparse
import fnmatch
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

from rules.layers import deb
from rules.layers.tree import File, Symlink


def install(file: Path, folder: Path, keep: Sequence[str]) -> None:
    """Writes the files of a .deb below a folder: those that match a glob, or all."""
    for name, entry in deb.read(file).entries:
        if keep and not any(fnmatch.fnmatchcase(name, glob) for glob in keep):
            continue
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, File):
            path.write_bytes(entry.read())
            path.chmod(0o755 if entry.executable else 0o644)
        elif isinstance(entry, Symlink):
            path.symlink_to(entry.target)


def main() -> None:
    """Unpacks packages, then layers over each other, into the folder that is named first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep", action="append", default=[], help="glob of files of packages")
    parser.add_argument("--deb", type=Path, action="append", default=[])
    parser.add_argument("--layer", type=Path, action="append", default=[])
    options = parser.parse_args()
    for package in options.deb:
        install(package, options.folder, options.keep)
    for layer in options.layer:
        with tarfile.open(layer) as archive:
            # Owners are root's and cannot be kept; "tar" refuses paths outside of the folder.
            archive.extractall(options.folder, filter="tar")
    for place, folders, files in os.walk(options.folder):
        for link in (Path(place, name) for name in (*folders, *files)):
            # Bazel's trees have no link that leads nowhere, or out of the tree.
            if link.is_symlink() and (link.readlink().is_absolute() or not link.exists()):
                link.unlink()


if __name__ == "__main__":
    main()
