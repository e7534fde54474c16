"""The program writes what has been built, and nothing where anything failed."""

import importlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from rules.update import builds, image, locks
from rules.update.change import Change
from rules.update.error import RefusedError
from rules.update.image import Image
from rules.update.locks import Lock
from tools.terminal.tests.full import Full

program = importlib.import_module("rules.update.__main__")

NEW = Lock("image/lock.json", "new", (Change("Debian", "libc6", "1", "2"),))
SAME = Lock("requirements_lock.txt", "wheels", ())


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    (folder / "image").mkdir(parents=True)
    (folder / "image/lock.json").write_text("old")
    (folder / "requirements_lock.txt").write_text("as it was")
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(folder))
    resolve(monkeypatch, [NEW, SAME])

    @contextmanager
    def beside(_: Path, moved: Sequence[Lock]) -> Iterator[Path]:
        assert list(moved) == [NEW]
        yield tmp_path / "copy"

    monkeypatch.setattr(builds, "beside", beside)
    monkeypatch.setattr(builds, "build", lambda folder, _: folder)
    monkeypatch.setattr(image, "read", read)
    return folder


def resolve(monkeypatch: pytest.MonkeyPatch, found: list[Lock]) -> None:
    monkeypatch.setattr(locks, "resolve", lambda *_, **__: found)


def read(index: Path, _: object) -> dict[str, Image]:
    version = "2" if index.parent.name == "copy" else "1"
    return {"amd64": Image({("Debian", "libc6"): version}, {}, {}, {})}


def written(workspace: Path) -> str:
    return (workspace / "image/lock.json").read_text()


def test_the_lock_that_changes_is_written_and_shown(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["--package=image"]) == program.DONE

    assert written(workspace) == "new"
    assert (workspace / "requirements_lock.txt").read_text() == "as it was"
    assert "- packages: libc6 1 -> 2\n" in capsys.readouterr().out


def test_names_are_what_may_move(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def resolved(_: Path, *, only: str | None, named: list[str]) -> list[Lock]:
        asked.append((only, named))
        return [NEW, SAME]

    monkeypatch.setattr(locks, "resolve", resolved)

    assert program.main(["--package=image", "libc6", "--only=debian", "--check"]) == program.BEHIND
    assert asked == [("debian", ["libc6"])]


def test_a_package_that_moves_without_being_named_is_told(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["--package=image", "zlib1g"]) == program.DONE
    assert "not named, but the archive has dropped what is locked: libc6" in capsys.readouterr().err

    program.main(["--package=image", "libc6"])
    program.main(["--package=image"])
    assert "not named" not in capsys.readouterr().err


def test_a_check_writes_nothing_and_says_that_something_is_behind(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["--package=image", "--check", "--json"]) == program.BEHIND

    assert written(workspace) == "old"
    found = json.loads(capsys.readouterr().out)
    assert found["locks"]["image/lock.json"] == [
        {"ecosystem": "Debian", "name": "libc6", "old": "1", "new": "2"}
    ]


def test_a_check_passes_where_nothing_is_behind(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, [SAME])

    assert program.main(["--package=image", "--check"]) == program.DONE


def test_nothing_is_written_where_the_new_image_does_not_build(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(folder: Path, _: str) -> Path:
        if folder != workspace:
            raise RefusedError("libc6: expected sha256 0, got 1")
        return folder

    monkeypatch.setattr(builds, "build", build)

    assert program.main(["--package=image"]) == program.REFUSED
    assert written(workspace) == "old"
    assert "no lock was written: libc6: expected sha256 0, got 1" in capsys.readouterr().err


def test_an_image_that_does_not_build_as_it_is_can_be_updated(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(folder: Path, _: str) -> Path:
        if folder == workspace:
            raise RefusedError("libnew is not locked")
        return folder

    monkeypatch.setattr(builds, "build", build)

    assert program.main(["--package=image"]) == program.DONE
    assert written(workspace) == "new"
    assert "nothing to compare with: libnew is not locked" in capsys.readouterr().err


def test_advisories_that_cannot_be_read_stop_it_before_anything_is_resolved(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()

    code = program.main(["--package=image", f"--advisories={tmp_path / 'empty'}"])

    assert code == program.REFUSED
    assert written(workspace) == "old"
    assert "no advisory in it" in capsys.readouterr().err


def test_what_cannot_be_printed_is_written_all_the_same(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Full())
        assert program.main(["--package=image"]) == program.DONE

    assert "what changed could not be printed: [Errno 28]" in capsys.readouterr().err
    assert written(workspace) == "new"
