"""A scratch copy has what git would commit, and says so where there is no git."""

import subprocess
from pathlib import Path

import pytest

from bench.checkout import copy
from bench.commands import BenchError


def test_what_git_ignores_or_was_deleted_is_not_copied(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    for name in ("kept", "deleted", "ignored"):
        (workspace / name).write_text(name)
    (workspace / ".gitignore").write_text("ignored\n")
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *command], cwd=workspace, check=True)
    (workspace / "deleted").unlink()
    (workspace / "new").write_text("new")

    copy(workspace, tmp_path / "copy")

    found = {file.name for file in (tmp_path / "copy").iterdir()}
    assert found == {".gitignore", "kept", "new"}


def test_a_folder_that_is_no_checkout_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=f"{tmp_path}: git checkout expected"):
        copy(tmp_path, tmp_path / "scratch")
