"""Locks are replaced all or none, and nothing is left beside them."""

from pathlib import Path

import pytest

from tools.locks import files


@pytest.fixture
def first(tmp_path: Path) -> Path:
    file = tmp_path / "first"
    file.write_text("old")
    return file


def test_each_has_its_new_text(first: Path) -> None:
    second = first.with_name("second")

    files.replace({first: "one", second: "two"})

    assert [first.read_text(), second.read_text()] == ["one", "two"]
    assert sorted(first.parent.iterdir()) == [first, second]


def test_where_one_cannot_be_written_none_is(first: Path) -> None:
    missing = first.parent / "no/folder/file"

    with pytest.raises(FileNotFoundError):
        files.replace({first: "one", missing: "two"})

    assert first.read_text() == "old"
    assert list(first.parent.iterdir()) == [first]


def test_where_one_cannot_be_put_in_its_place_those_before_are_put_back(first: Path) -> None:
    new, folder = first.with_name("new"), first.with_name("folder")
    (folder / "inside").mkdir(parents=True)

    with pytest.raises(IsADirectoryError):
        files.replace({first: "one", new: "two", folder: "three"})

    assert first.read_text() == "old"
    assert sorted(first.parent.iterdir()) == [first, folder]
