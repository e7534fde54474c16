"""The formatter writes the workspace's own files as the tests of their format want them."""

import os
from pathlib import Path

import pytest

from tools.lint import formatter

BUILDIFIER = Path(os.environ["BUILDIFIER"]).absolute()
PYTHON = 'import sys\nimport os\nprint( "a" )\n'
FORMATTED = 'import os\nimport sys\n\nprint("a")\n'
STARLARK = 'py_library(srcs=["b.py","a.py"],name="lib")\n'
STARLARK_FORMATTED = """\
py_library(
    name = "lib",
    srcs = [
        "a.py",
        "b.py",
    ],
)
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    for name in ("a/one.py", "b/two.py", ".venv/three.py", "kept/pyvenv.cfg", "kept/four.py"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(PYTHON)
    (tmp_path / "a/BUILD.bazel").write_text(STARLARK)
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\n")
    (tmp_path / "bazel-out").symlink_to(tmp_path / ".venv")
    return tmp_path


def run(workspace: Path, *arguments: str) -> int:
    return formatter.main(list(arguments), workspace, BUILDIFIER)


def formatted(workspace: Path) -> set[str]:
    return {
        file.relative_to(workspace).as_posix()
        for file in workspace.rglob("*.py")
        if file.read_text() == FORMATTED
    }


def test_every_file_of_the_workspace_is_formatted_and_nobody_elses(workspace: Path) -> None:
    assert run(workspace) == 0

    assert formatted(workspace) == {"a/one.py", "b/two.py"}
    assert (workspace / "a/BUILD.bazel").read_text() == STARLARK_FORMATTED


def test_what_is_named_alone_is_formatted(workspace: Path) -> None:
    assert run(workspace, "b/two.py") == 0

    assert formatted(workspace) == {"b/two.py"}
    assert (workspace / "a/BUILD.bazel").read_text() == STARLARK


def test_a_file_that_is_no_python_stays_and_is_named(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (workspace / "b/two.py").write_text("def (\n")

    assert run(workspace) == 1

    assert (workspace / "b/two.py").read_text() == "def (\n"
    assert "b/two.py" in capfd.readouterr().err
    assert formatted(workspace) == {"a/one.py"}


@pytest.mark.parametrize("path", ["c", ".venv/three.py", "../two.py"])
def test_a_path_that_the_workspace_has_not_is_said(
    workspace: Path, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace.parent / "two.py").write_text(PYTHON)

    with pytest.raises(SystemExit):
        run(workspace, path)

    assert f"{Path(path).name} is not there" in capsys.readouterr().err
    assert (workspace.parent / "two.py").read_text() == PYTHON
    assert formatted(workspace) == set()
