"""Rooms: which tests guard what, and paths that name none."""

import os
from pathlib import Path

import pytest

from tools.mutation.rooms import RoomError, chosen, of, read

ROOMS = """
[[room]]
modules = ["a/b/one.py", "a/b/two.py"]
tests = ["a/b/tests"]

[[room]]
modules = ["a/c/three.py"]
tests = ["a/c/tests/test_three.py"]
has_fixtures = false

[survivors."a/b/two.py"]
"f: 1 -> 2" = "nobody counts"
"""


def test_a_folder_names_its_modules_and_a_module_itself() -> None:
    modules = read(ROOMS)
    found = {
        path: [one.path for one in chosen(modules, [path], Path())]
        for path in ("a", "a/b/", "//a/b", "a/b/two.py", "a/c")
    }
    assert found == {
        "a": ["a/b/one.py", "a/b/two.py", "a/c/three.py"],
        "a/b/": ["a/b/one.py", "a/b/two.py"],
        "//a/b": ["a/b/one.py", "a/b/two.py"],
        "a/b/two.py": ["a/b/two.py"],
        "a/c": ["a/c/three.py"],
    }


def test_a_module_has_its_tests_and_its_survivors() -> None:
    one, two, three = read(ROOMS)
    assert (one.survivors, two.survivors) == ({}, {"f: 1 -> 2": "nobody counts"})
    assert one.arguments == ("a/b/tests",)
    assert three.arguments == ("--noconftest", "a/c/tests/test_three.py")


@pytest.mark.parametrize(
    ("path", "said"),
    [("a/x", "does not exist"), ("here.py", "is in no room"), ("a/b/tw", "does not exist")],
)
def test_a_path_that_names_nothing_says_what_to_do(tmp_path: Path, path: str, said: str) -> None:
    (tmp_path / "here.py").touch()
    with pytest.raises(RoomError, match=f"{path}: {said}; .*mutation.toml names: a/b, a/c. Add"):
        chosen(read(ROOMS), ["a/c", path], tmp_path)


@pytest.mark.parametrize(
    "text", ["[[room]]", "x = 1", "[[", ROOMS.replace('survivors."a/b/two.py"', 'survivors."x"')]
)
def test_a_file_that_is_wrong_says_so(text: str) -> None:
    with pytest.raises(RoomError, match=r"mutation\.toml: "):
        read(text)


def test_the_rooms_of_this_repository_can_be_read() -> None:
    root = Path(os.environ["SOURCES"]).parent
    modules = of(root)
    folders = {file.parent.name for file in root.glob("*/mutation.toml")}
    assert {Path(one.path).parts[0] for one in modules} == folders >= {"rules", "serving"}
    assert all(reason for one in modules for reason in one.survivors.values())
