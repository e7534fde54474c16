"""Changes of sources are seen when they are over, and what Python cannot read is named."""

import os
from pathlib import Path

import pytest

from tools.dev.sources import Sources


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "service/rooms").mkdir(parents=True)
    (tmp_path / "service/app.py").write_text("a = 1\n")
    (tmp_path / "service/rooms/page.html").write_text("<p>")
    return tmp_path


@pytest.fixture
def sources(workspace: Path) -> Sources:
    return Sources(workspace, ["service", "missing"])


def changes(sources: Sources) -> list[str]:
    """What two looks find: the first sees it, the second that it is over."""
    return [path.name for _ in range(2) for path in sources.changed()]


def test_at_rest_nothing_changes(sources: Sources) -> None:
    assert [path.name for path in sources.paths()] == ["app.py", "page.html"]
    assert changes(sources) == []


def test_a_change_is_told_once(sources: Sources, workspace: Path) -> None:
    (workspace / "service/app.py").write_text("a = 22\n")
    assert changes(sources) == ["app.py"]
    assert changes(sources) == []


def test_files_that_come_and_go_are_changes(sources: Sources, workspace: Path) -> None:
    (workspace / "service/rooms/new.py").touch()
    (workspace / "service/rooms/page.html").unlink()
    assert changes(sources) == ["new.py", "page.html"]


def test_a_file_that_another_is_renamed_to_has_changed(sources: Sources, workspace: Path) -> None:
    app = workspace / "service/app.py"
    status = app.stat()
    other = workspace / "other"
    other.write_text("a = 2\n")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(app)
    assert changes(sources) == ["app.py"]


def test_it_waits_for_the_last_of_many_changes(sources: Sources, workspace: Path) -> None:
    for name in ("one.py", "two.py", "three.py"):
        (workspace / "service" / name).touch()
        assert sources.changed() == []
    assert [path.name for path in sources.changed()] == ["one.py", "three.py", "two.py"]


@pytest.mark.parametrize(
    "name",
    [
        "service/tests/test_app.py",
        "service/__pycache__/app.pyc",
        "service/.git/x.py",
        "service/.app.py.swp",
        "service/app.py~",
        "service/4913",
        "other/app.py",
    ],
)
def test_what_the_service_does_not_read_is_no_change(
    sources: Sources, workspace: Path, name: str
) -> None:
    (workspace / name).parent.mkdir(exist_ok=True)
    (workspace / name).touch()
    assert changes(sources) == []


def test_a_source_that_python_cannot_read_is_named_with_its_line(
    sources: Sources, workspace: Path
) -> None:
    path = workspace / "service/app.py"
    path.write_text("a = 1\nb = (\n")
    assert sources.broken([path]) == ["service/app.py:2: '(' was never closed"]


def test_it_stays_broken_until_it_is_mended(sources: Sources, workspace: Path) -> None:
    path, other = workspace / "service/app.py", workspace / "service/other.py"
    path.write_text("def\n")
    other.write_text("b = 1\n")
    assert len(sources.broken([path])) == 1
    assert len(sources.broken([other])) == 1
    path.write_text("a = 1\n")
    assert sources.broken([path]) == []


def test_a_broken_source_that_goes_away_is_mended(sources: Sources, workspace: Path) -> None:
    path = workspace / "service/app.py"
    path.write_text("def\n")
    assert sources.broken([path])
    path.unlink()
    assert sources.broken([]) == []


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = 1\0", b"# coding: nonsense\n"])
def test_a_source_that_is_no_text_is_named(
    sources: Sources, workspace: Path, content: bytes
) -> None:
    path = workspace / "service/app.py"
    path.write_bytes(content)
    (problem,) = sources.broken([path])
    assert problem.startswith("service/app.py:")


def test_other_files_are_not_read_as_python(sources: Sources, workspace: Path) -> None:
    assert sources.broken([workspace / "service/rooms/page.html"]) == []
