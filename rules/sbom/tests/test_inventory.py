"""Every entry of an image has a package, every package a file, and layers agree with contents."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from rules.sbom import inventory
from rules.sbom.error import SbomError
from rules.sbom.inventory import SOURCES, Package
from rules.sbom.licenses import License


def package(key: str, **more: Any) -> Package:
    fields: dict[str, Any] = {
        "name": key,
        "version": "1",
        "purl": f"pkg:generic/{key}@1",
        "sha256": "0" * 64,
    }
    return Package(key=key, **(fields | {"license": License("MIT"), "supplier": "Ann"} | more))


def layer(folder: Path, name: str, *rows: dict[str, Any], drop: str = "") -> tuple[Path, Path]:
    archive, contents = folder / f"{name}.tar.gz", folder / f"{name}.contents.jsonl"
    lines = []
    with tarfile.open(archive, "w:gz") as target:
        for row in rows:
            header = tarfile.TarInfo(row["path"][1:])
            text = row.pop("text", None)
            if text is None:
                header.type = tarfile.DIRTYPE
                target.addfile(header)
            else:
                header.size = len(text)
                target.addfile(header, io.BytesIO(text))
                row.setdefault("sha256", hashlib.sha256(text).hexdigest())
            if row["path"] != drop:
                lines.append(json.dumps(row) + "\n")
    contents.write_text("".join(lines))
    return archive, contents


def test_files_have_owner_hashes_and_what_they_were_made_of(tmp_path: Path) -> None:
    one = layer(
        tmp_path,
        "one",
        {"path": "/a", "origin": "hello"},
        {"path": "/a/b.pyc", "origin": "hello", "text": b"x", "made_of": ["/a/b.py"]},
    )

    (file,), others = inventory.files([one])

    assert (file.path, file.owner, file.size) == ("/a/b.pyc", "hello", 1)
    assert file.sha1 == hashlib.sha1(b"x").hexdigest()
    assert file.made_of == ("/a/b.py",)
    assert others == {"/a": "hello"}


def test_labels_of_targets_are_this_repositorys_own(tmp_path: Path) -> None:
    one = layer(tmp_path, "one", {"path": "/a", "origin": "//image:app", "text": b"x"})

    assert inventory.files([one])[0][0].owner == SOURCES


def test_the_upper_layers_file_is_the_images(tmp_path: Path) -> None:
    lower = layer(tmp_path, "lower", {"path": "/a", "origin": "one", "text": b"1"})
    upper = layer(tmp_path, "upper", {"path": "/a", "origin": "two", "text": b"2"})

    assert [file.owner for file in inventory.files([lower, upper])[0]] == ["two"]


def test_a_file_without_owner_is_named(tmp_path: Path) -> None:
    rows = [{"path": f"/{name}", "origin": "hello", "text": b"x"} for name in "ab"]
    one = layer(tmp_path, "one", *rows, drop="/b")

    with pytest.raises(SbomError, match=r"/b of one\.tar\.gz has no owner"):
        inventory.files([one])


def test_contents_of_another_build_are_refused(tmp_path: Path) -> None:
    one = layer(tmp_path, "one", {"path": "/a", "origin": "x", "text": b"x", "sha256": "0"})

    with pytest.raises(SbomError, match=r"/a: one\.contents\.jsonl says sha256 0"):
        inventory.files([one])


def test_contents_that_say_more_than_the_layer_has_are_refused(tmp_path: Path) -> None:
    archive, contents = layer(tmp_path, "one", {"path": "/a", "origin": "x", "text": b"x"})
    contents.write_text(contents.read_text() + '{"path": "/b", "origin": "x"}\n')

    with pytest.raises(SbomError, match="has /b, which one"):
        inventory.files([(archive, contents)])


def test_a_file_of_no_package_is_named(tmp_path: Path) -> None:
    one = layer(tmp_path, "one", {"path": "/a", "origin": "stranger", "text": b"x"})

    with pytest.raises(SbomError, match="/a comes from stranger, which is neither"):
        inventory.check([], *inventory.files([one]))


def test_a_folder_of_no_package_is_named(tmp_path: Path) -> None:
    one = layer(tmp_path, "one", {"path": "/a", "origin": "stranger"})

    with pytest.raises(SbomError, match="/a comes from stranger"):
        inventory.check([], *inventory.files([one]))


def test_a_package_without_a_file_is_named(tmp_path: Path) -> None:
    one = layer(tmp_path, "one", {"path": "/a", "origin": "hello", "text": b"x"})

    with pytest.raises(SbomError, match="idle: no file of the image comes from there"):
        inventory.check([package("hello"), package("idle")], *inventory.files([one]))
