"""What is in an image: its blobs in an OCI layout, and its files where they are unpacked."""

import json
import os
import re
from pathlib import Path
from typing import Any

from tests.container import rootfs
from tests.oci import layout
from tests.oci.layout import Configuration


def blobs(folder: Path) -> dict[str, int]:
    """The blobs of a layout's image: its manifest, config and layers, with their sizes in bytes.

    A layout that was written to again and again holds blobs of former images, too.
    """
    manifest = _image(folder)
    content = _read(folder, manifest)
    found = [manifest, content["config"], *content["layers"]]
    return {one["digest"]: one["size"] for one in found}


def digest(folder: Path) -> str:
    """The digest of a layout's image."""
    found: str = _image(folder)["digest"]
    return found


def pushed(before: dict[str, int], after: dict[str, int]) -> int:
    """Bytes that a registry that has one image is sent for another one."""
    return sum(size for name, size in after.items() if name not in before)


def unpack(folder: Path, target: Path) -> Configuration:
    """Unpacks a layout's image; returns how it is run."""
    image = layout.read(folder)
    target.mkdir()
    rootfs.unpack(image, target, owners=False)
    for entry in image.files:
        # Python compares the times of sources with those that byte-code notes.
        path = target / entry.path.lstrip("/")
        os.utime(path, (entry.modified, entry.modified), follow_symlinks=False)
    return image.configuration


def packages(root: Path) -> int:
    """How many Debian packages and Python distributions an unpacked image has."""
    status = root / "var/lib/dpkg/status"
    installed = (
        len(re.findall(r"^Status: install ok installed$", status.read_text(), re.MULTILINE))
        if status.exists()
        else 0
    )
    # Where images have no package manager, each package has a file of its own.
    apart = root / "var/lib/dpkg/status.d"
    single = [file for file in apart.glob("*") if not file.name.endswith(".md5sums")]
    return installed + len(single) + len(distributions(root))


def distributions(root: Path) -> list[str]:
    """The Python distributions of an unpacked image, as `NAME==VERSION`, sorted."""
    found = []
    for folder in root.glob("**/*.dist-info"):
        metadata = (folder / "METADATA").read_text(errors="replace")
        name = re.search(r"^Name: (\S+)", metadata, re.MULTILINE)
        version = re.search(r"^Version: (\S+)", metadata, re.MULTILINE)
        if name and version:
            found.append(f"{name[1]}=={version[1]}")
    return sorted(found)


def files(root: Path) -> int:
    """How many regular files an unpacked image has."""
    return sum(1 for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def _image(folder: Path) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads((folder / "index.json").read_text())["manifests"]
    if len(found) != 1:
        raise ValueError(f"{folder}: expected one image, got {len(found)}")
    return found[0]


def _read(folder: Path, descriptor: dict[str, Any]) -> Any:
    return json.loads((folder / "blobs" / descriptor["digest"].replace(":", "/")).read_text())
