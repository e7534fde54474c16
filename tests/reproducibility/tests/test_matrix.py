"""The matrix finds what differs, says what it could not try, and leaves nothing behind."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from rules.diff.tests.images import Item, image
from tests.reproducibility.__main__ import main
from tests.reproducibility.variations import variations

ITEMS = [Item(f"x/{name}", name) for name in "abcd"]
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Ann"), ("EMAIL", "ann@example.test"))
}
# A build whose image is made/0, or made/1 where the line LEAK finds something to let in.
BAZEL = """#!/bin/sh
out=${1#--output_base=}
test "$2" = build || exit 0
echo "$@" >> "$CALLS"
mkdir -p "$out" bazel-bin/image
made=0
LEAK
rm -rf bazel-bin/image/index
cp -r "made/$made" bazel-bin/image/index
echo "sha256:$made" > bazel-bin/image/index.json.sha256
"""


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    (folder / "tools").mkdir(parents=True)
    (folder / "image/files").mkdir(parents=True)
    (folder / "image/files/nsswitch.conf").write_text("hosts: files\n")
    (folder / ".gitignore").write_text("ignored\n")
    for number in (0, 1):
        image(folder / f"made/{number}", [*ITEMS, Item("app", f"/home/{number}/src/app")])
    leak(folder, "")
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(folder))
    return folder


def leak(folder: Path, line: str) -> None:
    (folder / "tools/bazel").write_text(BAZEL.replace("LEAK", line))
    (folder / "tools/bazel").chmod(0o755)
    environment = os.environ | IDENTITY | {"GIT_CONFIG_GLOBAL": "/dev/null"}
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "A state"]):
        subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True)


def run(tmp_path: Path, *names: str) -> int:
    only = [word for name in names for word in ("--only", name)]
    code = main(["--json", f"--scratch={tmp_path / 'scratch'}", *only])
    assert list((tmp_path / "scratch").iterdir()) == []
    return code


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("path", 'case "$PWD" in *longer*) made=1;; esac'),
        ("home", 'case "$HOME" in *another*) made=1;; esac'),
        ("umask", 'test "$(umask)" = 0022 || made=1'),
        # Bazel gives tests the time zone UTC.
        ("time zone and locale", 'case "$TZ" in ""|UTC) ;; *) made=1;; esac'),
        ("environment", 'test -z "$SOURCE_DATE_EPOCH" || made=1'),
        ("checkout", "find image/files/nsswitch.conf -perm 600 | grep -q . && made=1"),
        ("checkout", "test image/files/nsswitch.conf -nt / || made=1"),
        ("clone", "test -e .git && made=1"),
        ("no sandbox", 'case "$*" in *strategy=local*) made=1;; esac'),
        (
            "edit and revert",
            "grep -q edited image/files/nsswitch.conf && touch state; test -e state && made=1",
        ),
    ],
)
def test_leak_is_found_and_its_cause_named(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, line: str
) -> None:
    leak(workspace, line)

    code = run(tmp_path, name)

    assert code == 1
    output = capsys.readouterr()
    assert [row["result"] for row in json.loads(output.out)] == ["same", "different"]
    assert "probably: path" in output.err


def test_build_that_lets_nothing_in_is_the_same_in_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [each.name for each in variations("/x") if not each.prefix]

    code = run(tmp_path, *names)

    assert code == 0
    assert {row["digest"] for row in json.loads(capsys.readouterr().out)} == {"sha256:0"}


def test_no_build_takes_results_of_another(tmp_path: Path) -> None:
    run(tmp_path, "umask")

    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 2
    assert all("--disk_cache= " in call for call in calls)


def test_file_that_is_not_committed_yet_is_built(workspace: Path, tmp_path: Path) -> None:
    (workspace / "untracked").touch()
    (workspace / "ignored").touch()
    leak(workspace, "test -e untracked || exit 1; test ! -e ignored || exit 1")

    assert run(tmp_path, "umask") == 0


def test_edit_during_the_run_changes_no_build(workspace: Path, tmp_path: Path) -> None:
    name = workspace / "image/files/nsswitch.conf"
    leak(workspace, f'grep -q during image/files/nsswitch.conf && made=1; echo during >> "{name}"')

    assert run(tmp_path, "umask", "clone") == 0


def test_clone_of_changed_files_is_refused(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace / "image/files/nsswitch.conf").write_text("changed")

    assert run(tmp_path, "clone") == 2
    assert "commit them" in capsys.readouterr().err


def test_failed_build_shows_its_log(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leak(workspace, "echo no such target; exit 3")

    code = run(tmp_path, "umask")

    assert code == 2
    assert "no such target" in capsys.readouterr().err


def test_missing_tool_names_its_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)

    code = run(tmp_path, "one CPU")

    assert code == 2
    assert "taskset is missing. On Debian: apt-get install util-linux" in capsys.readouterr().err


def test_unknown_variation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as refused:
        run(tmp_path, "weather")
    assert refused.value.code == 2


def test_folder_that_the_builder_root_covers_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--scratch=/var/tmp"])
    assert "outside of /var/tmp" in capsys.readouterr().err


def test_workspace_without_git_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bare").mkdir()
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(tmp_path / "bare"))

    assert run(tmp_path, "umask") == 2
    assert "is no git checkout" in capsys.readouterr().err
