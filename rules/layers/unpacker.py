"""Unpacks layers over each other into a folder, for tests that need files and no container."""

import os
import sys
import tarfile
from pathlib import Path


def main() -> None:
    """Unpacks the layers that the arguments after the first name into the folder it names."""
    folder, *layers = sys.argv[1:]
    for layer in layers:
        with tarfile.open(layer) as archive:
            # Owners are root's and cannot be kept; "tar" refuses paths outside of the folder.
            archive.extractall(folder, filter="tar")
    for place, folders, files in os.walk(folder):
        for link in (Path(place, name) for name in (*folders, *files)):
            # Bazel's trees have no link that leads nowhere, or out of the tree.
            if link.is_symlink() and (link.readlink().is_absolute() or not link.exists()):
                link.unlink()


if __name__ == "__main__":
    main()
