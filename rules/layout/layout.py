"""Layouts that this build has just made, read by programs that go on from them.

What comes from elsewhere is read by `rules/diff`, which trusts nothing in it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Layout:
    """An OCI image layout with one descriptor in its index.json (image-layout.md).

    Attributes:
        digest: of what that names: a manifest, or an index of several.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (root,) = json.loads((folder / "index.json").read_bytes())["manifests"]
        self.digest: str = root["digest"]

    def images(self) -> Mapping[str, str]:
        """The digests of an index' manifests, by the CPU's name."""
        manifests = self._document(self.digest)["manifests"]
        return {each["platform"]["architecture"]: each["digest"] for each in manifests}

    def config(self, manifest: str) -> Mapping[str, Any]:
        """The config of the image whose manifest has this digest."""
        config: Mapping[str, Any] = self._document(self.manifest(manifest)["config"]["digest"])
        return config

    def manifest(self, digest: str) -> Mapping[str, Any]:
        """The manifest that has this digest."""
        manifest: Mapping[str, Any] = self._document(digest)
        return manifest

    def _document(self, digest: str) -> Any:
        return json.loads((self._folder / "blobs" / digest.replace(":", "/", 1)).read_bytes())
