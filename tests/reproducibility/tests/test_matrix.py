"""The matrix finds what differs, says what it could not try, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.reproducibility import checkout, machine
from tests.reproducibility.__main__ import main
from tests.reproducibility.matrix import sweep
from tests.reproducibility.tests.workspace import Workspace, template
from tests.reproducibility.variations import Machine, variations

# What takes neither root nor a builder root.
PLAIN = [
    each.name
    for each in variations("/x")
    if not each.root and each.machine == Machine.SAME and not each.suite
]


class Outcome(NamedTuple):
    code: int
    rows: list[dict[str, Any]]
    said: str


class Matrix:
    """Runs the matrix below `scratch`, where nothing may be left."""

    def __init__(self, scratch: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.scratch = scratch
        self._capsys = capsys

    def run(self, *names: str) -> Outcome:
        only = [word for name in names for word in ("--only", name)]
        code = main(["--json", f"--scratch={self.scratch}", *only])
        output = self._capsys.readouterr()
        assert list(self.scratch.iterdir()) == []
        return Outcome(code, json.loads(output.out or "[]"), output.err)


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return template(tmp_path_factory.mktemp("template"))


@pytest.fixture(autouse=True)
def workspace(committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    made = Workspace(committed, tmp_path / "workspace", tmp_path / "calls")
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("CALLS", str(made.calls))
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(made.folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return made


@pytest.fixture
def matrix(workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Matrix:
    del workspace
    return Matrix(tmp_path / "scratch", capsys)


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A builder root, in which tools/bazel says that it runs."""
    root = tmp_path / "cache/bazel-debian/builder/0123"
    (root / "usr/bin").mkdir(parents=True)
    # No bzip2: what the root has not is not packed otherwise.
    for name in ("gzip", "xz", "zstd"):
        (root / "usr/bin" / name).write_text("of Debian")
    (root / "builder-root.versions").write_text("# forky\nzlib1g\t1.3\nless\t1\n")
    (tmp_path / "cache/bazel-debian/wheels").mkdir()
    (tmp_path / "cache/bazel-debian/output/cache/repos").mkdir(parents=True)
    monkeypatch.setenv("BUILDER", "0123")
    return root


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("path", 'case "$PWD" in *longer*) made=1;; esac'),
        ("home", 'case "$HOME" in *another*) made=1;; esac'),
        ("umask", 'test "$(umask)" = 0022 || made=1'),
        # Bazel gives tests the time zone UTC.
        ("environment", 'case "$TZ" in ""|UTC) ;; *) made=1;; esac'),
        ("environment", 'test -z "$SOURCE_DATE_EPOCH" || made=1'),
        ("checkout", "find image/files/nsswitch.conf -perm 600 | grep -q . && made=1"),
        ("checkout", "test image/files/nsswitch.conf -nt / || made=1"),
        ("clone", "test -e .git && made=1"),
        ("no sandbox", 'case "$*" in *strategy=local*) made=1;; esac'),
        ("optimised", 'case "$*" in *"-c opt"*) made=1;; esac'),
        (
            "disk cache",
            'case "$*" in *disk_cache=/*) test -e "$out/x" && made=1; touch "$out/x";; esac',
        ),
        (
            "edit and revert",
            "grep -q edited image/files/nsswitch.conf && touch state; test -e state && made=1",
        ),
        # A release whose layers are others, and one whose digest is a matter of its place.
        ("release", 'case "$*" in *release*) made=1;; esac'),
        ("release", 'case "$PWD" in *another*) made=0;; esac'),
    ],
)
def test_leak_is_found(workspace: Workspace, matrix: Matrix, name: str, line: str) -> None:
    workspace.leak(line)

    outcome = matrix.run(name)

    assert [row["result"] for row in outcome.rows] == ["same", "different"]
    assert outcome.code == 1


def test_cause_of_a_difference_is_named(workspace: Workspace, matrix: Matrix) -> None:
    workspace.leak('test "$(umask)" = 0022 || made=1')

    assert "probably: path" in matrix.run("umask").said


def test_build_that_lets_nothing_in_is_the_same_in_all(matrix: Matrix) -> None:
    outcome = matrix.run(*PLAIN)

    assert {row["result"] for row in outcome.rows} == {"same"}
    digests = {row["digest"]: row["name"] for row in outcome.rows}
    assert digests.pop("sha256:2") == "release"
    assert set(digests) == {"sha256:0"}
    assert outcome.code == 0
    assert f"{len(PLAIN)} same" in outcome.said


def test_no_build_takes_results_of_another(workspace: Workspace, matrix: Matrix) -> None:
    matrix.run("no sandbox", "umask")

    calls = [line.split()[0] for line in workspace.calls.read_text().splitlines()]
    assert calls == ["build", "clean", "build", "shutdown", "build", "shutdown"]
    builds = [call for call in workspace.calls.read_text().splitlines() if "index" in call]
    assert all("--disk_cache= " in build for build in builds)
    # What the baseline writes is for the row about it.
    assert [("--disk_cache=/" in build) for build in builds] == [True, False, False]


def test_file_that_is_not_committed_yet_is_built(workspace: Workspace, matrix: Matrix) -> None:
    (workspace.folder / "untracked").touch()
    (workspace.folder / "ignored").touch()
    workspace.leak("test -e untracked || exit 1; test ! -e ignored || exit 1")

    assert matrix.run("umask").code == 0


def test_edit_during_the_run_changes_no_build(workspace: Workspace, matrix: Matrix) -> None:
    name = workspace.folder / "image/files/nsswitch.conf"
    workspace.leak(f'grep -q during image/files/nsswitch.conf && made=1; echo during >> "{name}"')

    assert matrix.run("umask", "clone").code == 0


def test_clone_of_changed_files_is_refused(workspace: Workspace, matrix: Matrix) -> None:
    (workspace.folder / "image/files/nsswitch.conf").write_text("changed")

    outcome = matrix.run("edit and revert", "clone", "release")

    assert [row["result"] for row in outcome.rows] == ["same", "same", "failed", "failed"]
    assert outcome.said.count("commit them") == 2
    assert outcome.code == 2


def test_failed_build_shows_its_log(workspace: Workspace, matrix: Matrix) -> None:
    workspace.leak("echo no such target; exit 3")

    outcome = matrix.run("umask")

    assert outcome.code == 2
    assert "no such target" in outcome.said


def test_missing_tool_names_its_package(matrix: Matrix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("tests.reproducibility.matrix.shutil.which", lambda _: None)

    outcome = matrix.run("small machine")

    assert outcome.code == 2
    assert "taskset is missing. On Debian: apt-get install util-linux" in outcome.said


def test_row_without_disorderfs_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.reproducibility.machine.shutil.which", lambda _: None)

    assert "apt-get install disorderfs" in machine.without_disorderfs()


def test_what_takes_root_is_not_counted_as_same(
    matrix: Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    names = [each.name for each in variations("/x") if each.root]

    outcome = matrix.run(*names)

    assert [row["result"] for row in outcome.rows] == ["same", *["not run"] * len(names)]
    assert {row["detail"] for row in outcome.rows[1:]} == {"it takes root"}
    assert outcome.code == 2


def test_what_takes_a_builder_root_says_so_without_one(matrix: Matrix) -> None:
    outcome = matrix.run("tools", "clock")

    assert [row["result"] for row in outcome.rows] == ["same", "not run", "not run"]
    assert "it takes a builder root" in outcome.said


def test_other_tools_are_in_a_copy_of_the_builder_root(
    workspace: Workspace, matrix: Matrix, builder: Path
) -> None:
    workspace.leak('grep -q exec "$XDG_CACHE_HOME/bazel-debian/builder/0123/usr/bin/xz" && made=1')

    assert [row["result"] for row in matrix.run("tools").rows] == ["same", "different"]
    assert (builder / "usr/bin/xz").read_text() == "of Debian"
    assert not (builder / "usr/bin/xz.real").exists()


def test_clock_that_cannot_be_moved_is_said(matrix: Matrix, builder: Path) -> None:
    outcome = matrix.run("clock")

    assert builder.is_dir()
    assert outcome.rows[1]["result"] == "not run"
    assert "libfaketime" in outcome.said


def test_versions_of_another_builder_root_are_shown(
    workspace: Workspace, matrix: Matrix, builder: Path
) -> None:
    other = builder.with_name("4567")
    other.mkdir()
    (other / "builder-root.versions").write_text("# sid\nzlib1g\t1.4\nless\t2\n")
    workspace.leak(
        'if grep -q sid tools/debian/recipe.toml; then printf -- "-Dbuilder.root=4567" '
        '> "$out/server/cmdline"; fi'
    )

    row = matrix.run("builder root").rows[1]

    assert (row["result"], row["detail"]) == ("same", "zlib1g 1.3 -> 1.4")


def test_builder_root_that_is_no_other_is_not_counted_as_same(
    matrix: Matrix, builder: Path
) -> None:
    assert builder.is_dir()
    assert matrix.run("builder root").rows[1]["result"] == "not run"


def test_unknown_variation_is_refused(matrix: Matrix) -> None:
    with pytest.raises(SystemExit) as refused:
        matrix.run("weather")
    assert refused.value.code == 2


def test_row_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others = [word for name in PLAIN[2:] for word in ("--skip", name)]
    left = [each.name for each in variations("/x") if each.name not in PLAIN]
    main([f"--scratch={tmp_path / 'scratch'}", *others, *(f"--skip={name}" for name in left)])

    assert "2 same" in capsys.readouterr().err


def test_full_disk_is_said_before_the_build(
    workspace: Workspace, matrix: Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "free", lambda _: 0.5)

    outcome = matrix.run("umask")

    assert outcome.code == 2
    assert "4 GB free expected, got 0.5; --scratch names another folder" in outcome.said
    assert not workspace.calls.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_killed_run_leaves_nothing_behind(
    workspace: Workspace, tmp_path: Path, number: signal.Signals
) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    # What runs in a build ends when tools/bazel is told to.
    workspace.leak(f'echo $$ > "{ready}"; exec sleep 600')
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.reproducibility", f"--scratch={tmp_path / 'scratch'}"],
        env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
        stderr=subprocess.DEVNULL,
    )
    build = int(ready.read_text())

    process.send_signal(number)

    assert process.wait() != 0
    # It was told to end; whoever inherits it has to take note of that.
    deadline = time.monotonic() + 10
    while Path(f"/proc/{build}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{build}").exists()
    assert list((tmp_path / "scratch").iterdir()) == []
    assert workspace.calls.read_text().splitlines()[-1].startswith("shutdown")


def test_signal_while_a_build_is_being_started_ends_the_build(
    workspace: Workspace, matrix: Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def interrupted(*words: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = popen(*words, **options)
        if "tools/bazel" in words[0]:
            started.append(process)
            if len(started) == 1:
                signal.raise_signal(signal.SIGTERM)
        return process

    workspace.leak("exec sleep 600")
    monkeypatch.setattr(subprocess, "Popen", interrupted)

    with pytest.raises(SystemExit) as ended:
        matrix.run("umask")

    assert ended.value.code == 128 + signal.SIGTERM
    assert list(matrix.scratch.iterdir()) == []
    assert started[0].poll() == -signal.SIGTERM


def test_what_a_run_left_that_was_killed_at_once_is_removed_by_the_next(
    matrix: Matrix,
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    dead = matrix.scratch / f"reproducibility-{gone.pid}-x"
    alive = matrix.scratch / f"reproducibility-{os.getpid()}-x"
    for folder in (dead, alive):
        (folder / "output").mkdir(parents=True)

    sweep(matrix.scratch)

    assert [dead.exists(), alive.exists()] == [False, True]


def test_folder_that_the_builder_root_covers_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--scratch=/var/tmp"])
    assert "outside of /var/tmp" in capsys.readouterr().err


def test_workspace_without_git_is_refused(
    tmp_path: Path, matrix: Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bare").mkdir()
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(tmp_path / "bare"))

    outcome = matrix.run("umask")

    assert outcome.code == 2
    assert "is no git checkout" in outcome.said


def test_page_has_the_table() -> None:
    page = Path(os.environ["PAGE"]).read_text(encoding="utf-8")
    rows = [
        f"| {each.name} | {each.reason} | {'yes' if each.fetch else ''} |".replace("  |", " |")
        for each in variations("/x")
    ]

    assert "\n".join(rows) in page


def test_list_has_names_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [each.name for each in variations("/x")]
    assert lines[-1].endswith(variations("/x")[-1].reason)
