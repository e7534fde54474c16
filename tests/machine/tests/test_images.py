"""Images are unpacked once, and given to containers as often as they are asked for."""

import json
import os
from pathlib import Path

import pytest

from tests.container import kernel
from tests.container.runtime import Unpacked
from tests.machine import images
from tests.oci import layout, samples
from tests.oci.filesystem import DIRECTORY, Entry
from tests.oci.samples import file


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    data = Entry("/data", DIRECTORY, 0o750, uid=65532, gid=65532)
    config = {"User": "65532:65532", "Entrypoint": ["/bin/it"], "Env": ["A=1"]}
    written = samples.write(tmp_path / "layout", [[file("/etc/it", b"x"), data]], config)
    images.unpack(layout.read(written), tmp_path / "image")
    return tmp_path / "image"


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands for the kernel's overlays: what is below is simply above."""
    options: list[str] = []

    def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
        assert (source, kind) == ("overlay", "overlay")
        options.append(data)
        (Path(target) / "data").mkdir(mode=0o750)

    monkeypatch.setattr(kernel, "mount", mount)
    return options


def test_the_files_are_there_before_the_machine_boots(unpacked: Path) -> None:
    assert (unpacked / "files/etc/it").read_bytes() == b"x"
    assert (unpacked / "files/data").stat().st_mode & 0o777 == 0o750
    assert (unpacked / "files").stat().st_mode & 0o777 == 0o755


def test_they_are_the_callers_and_whose_they_should_be_is_noted(unpacked: Path) -> None:
    assert (unpacked / "files/data").stat().st_uid == os.geteuid()
    assert json.loads((unpacked / "owners.json").read_text()) == [["/data", 65532, 65532]]


def test_each_copy_is_an_overlay_of_the_same_files(
    unpacked: Path, mounted: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners: list[tuple[Path, int, int]] = []
    monkeypatch.setattr(
        os, "chown", lambda path, uid, gid, **_: owners.append((Path(path), uid, gid))
    )

    copies: list[Unpacked] = [images.overlaid(unpacked, tmp_path / name) for name in "ab"]

    assert copies[0].root != copies[1].root
    assert all(f"lowerdir={unpacked}/files," in data for data in mounted)
    assert mounted[0].endswith(f"upperdir={tmp_path}/a/upper,workdir={tmp_path}/a/work")
    assert owners == [(copy.root / "data", 65532, 65532) for copy in copies]
    assert copies[0].configuration.user == "65532:65532"
    assert copies[0].configuration.environment == {"A": "1"}


def test_a_tree_without_the_module_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"overlay.ko\* in {tmp_path}"):
        images.load_module(tmp_path)
