"""Labels, annotations and the time of creation, as files for rules_oci."""

from pathlib import Path

import pytest

from rules.release import stamp

STATUS = """STABLE_CREATED 2026-11-24T10:30:00Z
STABLE_REVISION 0123abcd
STABLE_VERSION 1.2
BUILD_EMBED_LABEL
BUILD_HOST laptop
BUILD_USER ann
"""
ARGUMENTS = ["stamp", "--label", '["title","todo"]', "--label", '["apple","a=b"]']
ARGUMENTS += ["--variable", '["PORT","8000"]', "--variable", '["LANG","C.UTF-8"]']


def written(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str
) -> tuple[int, dict[str, str]]:
    names = ("labels", "annotations", "environment", "created")
    files = [f"--{name}={folder / name}" for name in names]
    monkeypatch.setattr("sys.argv", [*ARGUMENTS, *files, *arguments])
    code = stamp.main()
    return code, {name: (folder / name).read_text() for name in names if (folder / name).exists()}


def test_without_a_status_nothing_is_added(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, files = written(monkeypatch, tmp_path)

    assert code == 0
    assert files == {
        "labels": "title=todo\napple=a=b\n",
        "annotations": "",
        "environment": "PORT=8000\nLANG=C.UTF-8\n",
        "created": "1970-01-01T00:00:00Z",
    }


def test_release_says_its_origin_after_the_labels_of_the_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "status").write_text(STATUS)
    code, files = written(
        monkeypatch, tmp_path, f"--status={tmp_path}/status", "--source=https://example.test/todo"
    )
    origin = (
        "org.opencontainers.image.created=2026-11-24T10:30:00Z\n"
        "org.opencontainers.image.revision=0123abcd\n"
        "org.opencontainers.image.source=https://example.test/todo\n"
        "org.opencontainers.image.version=1.2\n"
    )

    assert code == 0
    assert files["labels"] == f"title=todo\napple=a=b\n{origin}"
    assert files["annotations"] == origin
    assert files["environment"] == "PORT=8000\nLANG=C.UTF-8\nREVISION=0123abcd\n"
    # rules_oci takes the file whole: a newline would be in the config.
    assert files["created"] == "2026-11-24T10:30:00Z"


def test_user_and_host_never_get_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "status").write_text(STATUS)
    _, files = written(monkeypatch, tmp_path, f"--status={tmp_path}/status")

    assert "laptop" not in str(files)
    assert "ann" not in str(files).replace("annotations", "")


def test_stamp_without_the_status_of_a_release_says_what_to_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "status").write_text("BUILD_HOST laptop\n")
    code, files = written(monkeypatch, tmp_path, f"--status={tmp_path}/status")

    assert code == 1
    assert files == {}
    assert "use --config=release" in capsys.readouterr().err


def test_value_of_two_lines_is_refused() -> None:
    with pytest.raises(stamp.StampError, match="one line"):
        stamp.lines({"key": "a\nb=c"})
