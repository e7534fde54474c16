"""An image whose layers are zstd holds the same archives as one whose layers are gzip."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rules.layout.layout import Layout


def parts(name: str) -> tuple[list[Mapping[str, Any]], list[str]]:
    """The layers of an image, and their diff IDs."""
    layout = Layout(Path(os.environ[name]))
    layers = layout.manifest(layout.digest)["layers"]
    return layers, layout.config(layout.digest)["rootfs"]["diff_ids"]


def test_the_archives_are_the_same_and_smaller() -> None:
    gzip, gzip_archives = parts("GZIP")
    zstd, zstd_archives = parts("ZSTD")

    assert zstd_archives == gzip_archives
    assert {each["mediaType"] for each in gzip} == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    assert {each["mediaType"] for each in zstd} == {"application/vnd.oci.image.layer.v1.tar+zstd"}
    sizes = [sum(each["size"] for each in layers) for layers in (gzip, zstd)]
    assert sizes[1] < 0.9 * sizes[0], sizes
