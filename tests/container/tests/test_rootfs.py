"""Layers are unpacked as a container runtime does it, whiteouts and all."""

import os
from pathlib import Path

import pytest

from tests.container import rootfs
from tests.oci import layout, samples
from tests.oci.filesystem import Entry
from tests.oci.samples import file, folder, link


def unpack(where: Path, *layers: list[Entry]) -> Path:
    target = where / "root"
    target.mkdir()
    image = layout.read(samples.write(where / "image", layers))
    rootfs.unpack(image, target, owners=False)
    return target


def test_unpacks_files_folders_and_links(tmp_path: Path) -> None:
    root = unpack(
        tmp_path,
        [folder("/d", 0o750), file("/d/a", b"text", 0o640), link("/l", "d/a"), link("/x", "/no")],
    )

    assert (root / "l").read_text() == "text"
    assert (root / "d").stat().st_mode & 0o7777 == 0o750
    assert (root / "d/a").stat().st_mode & 0o7777 == 0o640
    assert (root / "x").readlink() == Path("/no")


def test_modes_do_not_depend_on_the_callers_mask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        root = unpack(tmp_path, [folder("/d"), file("/d/a", mode=0o4755)])
    finally:
        os.umask(before)

    assert (root / "d").stat().st_mode & 0o7777 == 0o755
    assert (root / "d/a").stat().st_mode & 0o7777 == 0o4755


def test_applies_layers_in_order(tmp_path: Path) -> None:
    root = unpack(tmp_path, [file("/a"), file("/b")], [file("/.wh.a"), file("/b", b"new")])

    assert not (root / "a").exists()
    assert (root / "b").read_text() == "new"


def test_makes_what_runtimes_mount_on(tmp_path: Path) -> None:
    root = unpack(tmp_path, [])

    assert {path.name for path in root.iterdir()} == {"dev", "proc", "sys", "tmp"}


def test_devices_and_the_like_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="/x is a fifo"):
        unpack(tmp_path, [Entry("/x", "fifo", 0o644)])
