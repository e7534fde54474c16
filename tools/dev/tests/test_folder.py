"""The folder is one process' own, and says what is wrong with it."""

import fcntl
import os
import pwd
from pathlib import Path

import pytest

from tools.dev.folder import Folder, FolderError, place


def test_it_lies_in_the_cache_folder_and_each_checkout_and_service_has_its_own() -> None:
    environment = {"XDG_CACHE_HOME": "/cache", "HOME": "/home/me"}
    one = place(environment, Path("/src/app"), "a")
    assert one.is_relative_to("/cache")
    assert one != place(environment, Path("/other/app"), "a")
    assert one != place(environment, Path("/src/app"), "b")
    assert place({"HOME": "/home/me"}, Path("/src/app"), "a").is_relative_to("/home/me/.cache")
    assert place({"XDG_CACHE_HOME": "x", "HOME": "/h"}, Path("/a"), "a").is_relative_to("/h/.cache")


@pytest.mark.parametrize("home", [{}, {"HOME": ""}, {"HOME": "here"}])
def test_without_a_home_the_user_database_says_where_it_is(
    home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "")
    own = pwd.getpwuid(os.getuid()).pw_dir
    assert place(home, Path("/src/app"), "a").is_relative_to(f"{own}/.cache")


def test_nobody_else_may_look_into_it(tmp_path: Path) -> None:
    opened = Folder(tmp_path / "a/b")
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700
    opened.close()


def test_a_second_one_is_refused_and_told_whose_it_is(tmp_path: Path) -> None:
    first = Folder(tmp_path)
    with pytest.raises(FolderError, match=rf"in use by another .* {os.getpid()}\. End.* worktree"):
        Folder(tmp_path)
    first.close()
    Folder(tmp_path).close()


def test_what_a_killed_one_left_running_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Folder(tmp_path)
    os.ftruncate(first.lock, 0)
    os.pwrite(first.lock, b"999999999\n", 0)

    def sleep(_: float) -> None:
        fcntl.flock(first.lock, fcntl.LOCK_UN)

    monkeypatch.setattr("time.sleep", sleep)
    Folder(tmp_path).close()
    first.close()


def test_a_cache_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match=r"cannot write .*: Not a directory: .*XDG_CACHE"):
        Folder(tmp_path / "file/x")


def test_beginning_anew_removes_the_database_and_nothing_else(tmp_path: Path) -> None:
    for name in ("data", "data.unfinished", "data.removed", "pyc"):
        (tmp_path / name / "x").mkdir(parents=True)
    opened = Folder(tmp_path)
    opened.begin_anew()
    opened.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "pyc"]


def test_beginning_anew_removes_what_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    (tmp_path / "data.removed").symlink_to(tmp_path)
    opened = Folder(tmp_path)
    opened.begin_anew()
    opened.close()
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
