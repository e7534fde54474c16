"""git is asked about the checkout that is named, and no other."""

import subprocess
from pathlib import Path

import pytest

from tools.git.command import output


def checkout(folder: Path, *files: str) -> Path:
    folder.mkdir()
    output(folder, "init", "-q")
    for name in files:
        (folder / name).touch()
    output(folder, "add", ".")
    return folder


@pytest.mark.parametrize("variable", ["GIT_DIR", "GIT_INDEX_FILE"])
def test_a_hook_of_another_checkout_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    named, other = checkout(tmp_path / "named", "a"), checkout(tmp_path / "other", "b")
    inside = {"GIT_DIR": ".git", "GIT_INDEX_FILE": ".git/index"}[variable]
    monkeypatch.setenv(variable, str(other / inside))

    assert output(named, "ls-files") == b"a\n"


def test_a_failure_has_gits_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    with pytest.raises(subprocess.CalledProcessError) as failed:
        output(tmp_path, "status")

    assert b"not a git repository" in failed.value.stderr
