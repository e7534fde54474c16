"""What a release says of its commit follows from the commit, and from nothing else."""

import os
import subprocess
from pathlib import Path

import pytest

from rules.release import status

COMMIT = {
    "GIT_AUTHOR_DATE": "2026-11-24T10:00:00+02:00",
    "GIT_AUTHOR_EMAIL": "ann@example.test",
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_COMMITTER_DATE": "2026-11-24T12:30:00+02:00",
    "GIT_COMMITTER_EMAIL": "ann@example.test",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=os.environ | COMMIT,
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "MODULE.bazel").write_text('module(name = "todo")\n\nbazel_dep(version = "9")\n')
    (folder / ".gitignore").write_text("ignored\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "First")
    return folder


def test_revision_time_and_version_are_those_of_the_commit(checkout: Path) -> None:
    revision = git(checkout, "rev-parse", "HEAD")

    assert status.status(checkout) == {
        "STABLE_REVISION": revision,
        "STABLE_CREATED": "2026-11-24T10:30:00Z",
        "STABLE_VERSION": f"20261124.g{revision[:12]}",
    }


def test_version_of_the_module_is_taken(checkout: Path) -> None:
    (checkout / "MODULE.bazel").write_text('module(\n    name = "todo",\n    version = "1.2",\n)\n')
    git(checkout, "commit", "-q", "-a", "-m", "Second")

    assert status.status(checkout)["STABLE_VERSION"] == "1.2"


def test_clone_elsewhere_says_the_same_whatever_its_branch_and_tags(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(checkout, "tag", "v9")
    git(tmp_path, "clone", "-q", "--no-tags", "--depth=1", f"file://{checkout}", "other")
    git(tmp_path / "other", "checkout", "-q", "--detach")
    here = status.status(checkout)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")

    assert status.status(tmp_path / "other") == here


def test_ignored_file_is_no_change(checkout: Path) -> None:
    (checkout / "ignored").touch()

    assert status.status(checkout)


@pytest.mark.parametrize("path", ["MODULE.bazel", "untracked"])
def test_file_that_differs_from_the_commit_is_refused_by_name(checkout: Path, path: str) -> None:
    (checkout / path).write_text("changed")

    with pytest.raises(status.StatusError, match=f"differ from it:\n.*{path}\nCommit them"):
        status.status(checkout)


def test_staged_change_is_refused(checkout: Path) -> None:
    (checkout / "MODULE.bazel").write_text("changed")
    git(checkout, "add", ".")

    with pytest.raises(status.StatusError):
        status.status(checkout)


def test_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(status.StatusError, match="is no git checkout"):
        status.status(tmp_path)


def test_missing_git_is_said(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(status.StatusError, match="apt-get install git"):
        status.status(checkout)
