"""The whole program, on a repository of one module."""

import tempfile
from pathlib import Path

import pytest

from tools.mutation.__main__ import main

MODULE = '''"""Sums."""


def total(sizes):
    """All of them."""
    size = 0
    for one in sizes:
        size += one
    if size > 9:
        size -= 1
    return size
'''
TEST = """from room.sums import total


def test_sums():
    assert total([1, 2]) == 3
"""
SERVER = """import pytest


@pytest.mark.postgresql
def test_stored():
    with open("{}", "a") as file:
        file.write("x")


"""
ROOMS = """[[room]]
modules = ["room/sums.py"]
tests = ["room/tests/test_sums.py"]
has_fixtures = false
"""
# The one test asks for no sum over 9.
REASON = '"total: {} -> {}" = "no sum is as large"\n'
SURVIVORS = "[survivors.'room/sums.py']\n" + "".join(
    REASON.format(*change)
    for change in [
        ("size > 9", "size >= 9"),
        ("9", "10"),
        ("size -= 1", "size += 1"),
        ("size -= 1", "size = 1"),
        ("1", "2"),
    ]
)


class Repository:
    """One module, its test, and what the program said."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.said: list[str] = []

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def run(self, *arguments: str) -> int:
        return main(["--jobs=2", *arguments], self.root, self.said.append)

    @property
    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    made = Repository(tmp_path / "repository")
    made.write("room/sums.py", MODULE)
    made.write("room/tests/test_sums.py", TEST)
    made.write("room/mutation.toml", ROOMS)
    made.write("pyproject.toml", "")
    return made


def test_what_no_test_notices_is_told_and_fails(repository: Repository) -> None:
    before = repository.files
    assert repository.run("room") == 1
    text = "\n".join(repository.said)
    assert "room/sums.py:9: no test notices total: size > 9 -> size >= 9" in text
    assert "expected 90%" in text
    assert "total: size += one -> size = one" not in text, "a test notices that"
    assert repository.files == before
    assert list(repository.root.parent.joinpath("scratch").iterdir()) == []


def test_one_line_can_be_tried_alone(repository: Repository) -> None:
    assert repository.run("room/sums.py", "--line", "8") == 0
    assert repository.said[-1] == "room/sums.py: 2 of 2 killed, 100%"


def test_a_survivor_with_a_reason_is_known_but_counts(repository: Repository) -> None:
    repository.write("room/mutation.toml", ROOMS + SURVIVORS)
    assert repository.run("room") == 1
    text = "\n".join(repository.said)
    assert "no test notices" not in text
    assert "(no sum is as large)" in text
    assert "expected 90%" in text


def test_a_reason_that_is_none_any_more_fails(repository: Repository) -> None:
    repository.write("room/mutation.toml", ROOMS + SURVIVORS)
    repository.write(
        "room/tests/test_sums.py", TEST + "    assert [total([n]) for n in (9, 10)] == [9, 9]\n"
    )
    assert repository.run("room") == 1
    assert any("a survivor that is none: total: 9 -> 10" in line for line in repository.said)


def test_no_server_is_started_for_a_change_that_is_noticed_without_one(
    repository: Repository, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    repository.write("room/tests/test_sums.py", SERVER.format(started) + TEST)
    marks = 'markers = ["postgresql: needs a server"]'
    repository.write("pyproject.toml", f"[tool.pytest.ini_options]\n{marks}\n")
    # Line 8 has two changes that are noticed, line 10 three that are not; before them the tests run
    # four times without a change.
    repository.run("room/sums.py", "--line", "8", "--line", "10")
    assert "room/sums.py: 2 of 5 killed, 40%" in repository.said
    assert started.read_text() == "x" * (4 + 3)


def test_tests_that_fail_without_a_change_are_told(repository: Repository) -> None:
    repository.write("room/tests/test_sums.py", TEST.replace("3", "4"))
    assert repository.run("room") == 2
    assert "its tests fail without a change" in repository.said[-1]
    assert "test_sums" in repository.said[-1]


def test_a_loop_that_no_longer_ends_is_ended(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.mutation.runs._LEAST_SECONDS", 5.0)
    # One that waits costs nothing meanwhile, and has to be ended all the same.
    loop = MODULE.replace(
        "if size > 9:\n        size -= 1",
        "while sizes == 0:\n        __import__('time').sleep(1)",
    )
    repository.write("room/sums.py", loop)
    repository.run("room/sums.py", "--line", "9")
    assert "  9: total: 0 -> 1 (2)  SURVIVED" in repository.said
    assert "room/sums.py: 1 of 2 killed, 50%" in repository.said


def test_a_path_that_does_not_exist_says_what_to_do(repository: Repository) -> None:
    assert repository.run("rome") == 2
    assert "rome: does not exist; expected a module or folder" in repository.said[-1]
