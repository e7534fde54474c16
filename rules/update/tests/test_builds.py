"""A copy of the checkout has its files, and no other's."""

import subprocess
from pathlib import Path

import pytest

from rules.update import builds


def test_another_checkout_that_a_hook_of_git_names_is_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"of-{name}").touch()
        subprocess.run(["git", "init", "-q"], cwd=tmp_path / name, check=True)
    monkeypatch.setenv("GIT_DIR", f"{tmp_path}/other/.git")
    monkeypatch.setenv("GIT_WORK_TREE", f"{tmp_path}/other")

    with builds.beside(tmp_path / "own", []) as copy:
        assert [path.name for path in copy.iterdir()] == ["of-own"]
