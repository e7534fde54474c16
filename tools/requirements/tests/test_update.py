"""The lock of wheels is replaced as a whole, and what changed is told."""

import sys
from pathlib import Path

import pytest

from tools.locks import files
from tools.locks.error import LockError
from tools.requirements import update as program
from tools.requirements.update import Run, changes
from tools.terminal.tests.full import Full

UV = Path("uv")


def locked(**versions: str) -> str:
    hashes = f"--hash=sha256:{'a' * 64}"
    return "".join(f"{name}=={version} {hashes}\n" for name, version in versions.items())


class Resolver:
    """Stands in for uv: writes a text where it is told to, or fails."""

    def __init__(self, text: str, code: int = 0) -> None:
        self.text = text
        self.code = code
        self.kept: str | None = None
        self.command: list[str] = []

    def run(self, command: list[str], folder: Path, environment: dict[str, str]) -> int:
        self.command = command
        (place,) = [word for word in command if word.startswith("--output-file=")]
        output = folder / place.removeprefix("--output-file=")
        self.kept = output.read_text() if output.exists() else None
        output.write_text(self.text)
        return self.code


@pytest.fixture(autouse=True)
def _no_pip_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "requirements_lock.txt").write_text(locked(a="1", b="1"))
    return tmp_path


def update(folder: Path, packages: list[str], uv: Path, run: Run) -> list[str]:
    resolved = program.resolve(folder, packages, uv, run)
    files.replace({folder / program.LOCK: resolved.text})
    return changes(resolved.before, resolved.after)


def test_the_lock_is_replaced_and_what_changed_is_told(folder: Path) -> None:
    uv = Resolver(locked(b="2", c="1"))
    assert update(folder, [], UV, uv.run) == ["- a 1", "  b 1 -> 2", "+ c 1"]
    assert (folder / "requirements_lock.txt").read_text() == uv.text


def test_everything_is_resolved_anew_where_nothing_is_named(folder: Path) -> None:
    uv = Resolver(locked(a="1", b="1"))
    assert update(folder, [], UV, uv.run) == []
    assert uv.kept is None


def test_other_packages_keep_their_versions_where_one_is_named(folder: Path) -> None:
    uv = Resolver(locked(a="1", b="2"))
    update(folder, ["b"], UV, uv.run)
    assert uv.kept == locked(a="1", b="1")
    assert "--upgrade-package=b" in uv.command


@pytest.mark.parametrize("uv", [Resolver("half", code=2), Resolver("nonsense\n")])
def test_a_failure_leaves_the_lock_as_it_was(folder: Path, uv: Resolver) -> None:
    with pytest.raises(LockError):
        update(folder, [], UV, uv.run)
    assert [path.name for path in folder.iterdir()] == ["requirements_lock.txt"]
    assert (folder / "requirements_lock.txt").read_text() == locked(a="1", b="1")


def test_a_first_lock_can_be_written(tmp_path: Path) -> None:
    assert update(tmp_path, ["a"], UV, Resolver(locked(a="1")).run) == ["+ a 1"]


def test_every_lock_of_the_workspace_is_updated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in program.FOLDERS:
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(program, "program", lambda: UV)
    monkeypatch.setattr(program, "start", Resolver(locked(a="1")).run)

    assert program.main([]) == 0
    said = capsys.readouterr().out
    for name in program.FOLDERS:
        lock = Path(name, "requirements_lock.txt")
        assert (tmp_path / lock).read_text() == locked(a="1")
        assert f"{lock}:\n+ a 1\n" in said
    assert "For one alone: tools/bazel run //:requirements.update -- NAME" in said


def test_extra_indexes_are_asked_where_the_default_one_does_not_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "http://127.0.0.1:9/")
    uv = Resolver(locked(), code=1)
    with pytest.raises(LockError):
        update(folder, [], UV, uv.run)
    assert "--index=http://127.0.0.1:9/" in uv.command


def test_versions_of_several_markers_are_told_together() -> None:
    assert changes({"a": "1"}, {"a": "1, 2"}) == ["  a 1 -> 1, 2"]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in program.FOLDERS:
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "requirements_lock.txt").write_text(locked(a="1"))
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(program, "program", lambda: UV)
    monkeypatch.setattr(program, "start", Resolver(locked(a="2", typing_extensions="1")).run)
    return tmp_path


def written(workspace: Path) -> set[str]:
    return {file.read_text() for file in workspace.rglob("requirements_lock.txt")}


def test_a_name_that_no_lock_has_is_refused(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["a", "fastappi"]) == 1

    assert "no lock has fastappi: expected a wheel of a requirements_" in capsys.readouterr().err
    assert written(workspace) == {locked(a="1")}
    # One that is new is known, however it is spelt.
    assert program.main(["a", "Typing.Extensions"]) == 0


def test_where_one_lock_fails_none_is_written(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = Resolver(locked(a="2")), Resolver("half", code=2)

    def start(command: list[str], folder: Path, environment: dict[str, str]) -> int:
        last = folder == workspace / program.FOLDERS[-1]
        return (bad if last else good).run(command, folder, environment)

    monkeypatch.setattr(program, "start", start)

    assert program.main([]) == 1

    said = capsys.readouterr().err
    assert f"{program.FOLDERS[-1]}/requirements_lock.txt: uv failed with exit code 2" in said
    assert written(workspace) == {locked(a="1")}


def test_where_one_lock_cannot_be_written_none_is(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # What the last one is written to on its way.
    (workspace / program.FOLDERS[-1] / ".requirements_lock.txt.new/inside").mkdir(parents=True)

    assert program.main([]) == 1

    assert "Is a directory" in capsys.readouterr().err
    assert written(workspace) == {locked(a="1")}
    assert not [file for file in workspace.rglob(".requirements_lock*") if file.is_file()]


def test_what_cannot_be_printed_is_written_all_the_same(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Full())
        assert program.main([]) == 0

    assert "what changed could not be printed: [Errno 28]" in capsys.readouterr().err
    assert written(workspace) == {locked(a="2", typing_extensions="1")}
