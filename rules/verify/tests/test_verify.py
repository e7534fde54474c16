"""A rebuild is compared with what was published, and what is said follows from what was seen."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rules.diff.tests.images import Item, Layout, image, tar
from rules.diff.tests.registry import registry
from rules.verify.__main__ import REVISION, main

ITEMS = [Item(f"x/{name}", name) for name in "abcd"]
CRANE = os.environ.get("CRANE", "crane")
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Ann"), ("EMAIL", "ann@example.test"))
}


def git(folder: Path, *arguments: str) -> str:
    environment = os.environ | IDENTITY | {"GIT_CONFIG_GLOBAL": "/dev/null"}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, capture_output=True, check=True, text=True
    )
    return done.stdout.strip()


def index(folder: Path, *, content: str = "1", labels: dict[str, str] | None = None) -> Path:
    layout = Layout(folder)
    images = [
        layout.image(
            [tar([*ITEMS, Item("app", content)])],
            architecture=name,
            config={"config": {"Labels": labels or {}}},
        )
        | {"platform": {"os": "linux", "architecture": name}}
        for name in ("amd64", "arm64")
    ]
    return layout.finish(layout.index(images))


# What `tools/bazel build` of the checkouts of these tests does: the layout depends on a file.
BAZEL = """#!/bin/sh
test "$1" = build || exit 0
test ! -e broken || exit 1
mkdir -p bazel-bin/image && cp -r made bazel-bin/image/index
"""


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "checkout"
    (folder / "tools").mkdir(parents=True)
    git(folder, "init", "-q")
    (folder / "requirements_lock.txt").write_text("fastapi==1\n")
    (folder / "tools/bazel").write_text(BAZEL)
    (folder / "tools/bazel").chmod(0o755)
    index(folder / "made", content="old")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "First")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(folder))
    return folder


def verify(tmp_path: Path, *arguments: str) -> int:
    fixed = [f"--built={tmp_path}/built", "--target=//image:index", f"--crane={CRANE}"]
    code = main([*fixed, *arguments])
    assert list((tmp_path / "tmp").iterdir()) == []
    return code


def test_equal_layout_is_verified_with_digest_and_revision(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index(tmp_path / "built")
    index(tmp_path / "published")

    assert verify(tmp_path, "published") == 0
    said = capsys.readouterr().out
    assert f"at revision {git(checkout, 'rev-parse', 'HEAD')}\n" in said
    assert "Verified" in said
    assert "digest   sha256:" in said


def test_image_of_one_platform_is_compared_with_its_own(tmp_path: Path) -> None:
    index(tmp_path / "built")
    built = json.loads((tmp_path / "built/index.json").read_text())["manifests"][0]
    manifests = json.loads(
        (tmp_path / "built/blobs" / built["digest"].replace(":", "/")).read_text()
    )["manifests"]
    published = index(tmp_path / "published")
    (published / "index.json").write_text(json.dumps({"manifests": manifests[1:]}))

    assert verify(tmp_path, "published") == 0


def test_image_in_a_registry_is_verified(tmp_path: Path) -> None:
    index(tmp_path / "built")
    index(tmp_path / "published")
    with registry(tmp_path / "published") as place:
        assert verify(tmp_path, f"{place}/todo:latest") == 0


def test_difference_is_shown_and_the_commit_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index(tmp_path / "built")
    index(tmp_path / "published", content="2")

    assert verify(tmp_path, "published") == 1
    said = capsys.readouterr().out
    assert "/app: line 1" in said
    assert "Was the image built from that commit?" in said


def test_changes_that_are_not_committed_are_said(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index(tmp_path / "built")
    (checkout / "requirements_lock.txt").write_text("changed")

    assert verify(tmp_path, "built") == 0
    assert "with changes that are not committed" in capsys.readouterr().out


def test_release_that_is_compared_with_another_build_says_how_to_rebuild_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index(tmp_path / "built")
    index(tmp_path / "published", labels={REVISION: "0123abc"})

    assert verify(tmp_path, "published") == 1
    assert "-- --stated-revision published" in capsys.readouterr().out


def test_another_commit_is_built_beside(checkout: Path, tmp_path: Path) -> None:
    first = git(checkout, "rev-parse", "HEAD")
    index(tmp_path / "published", content="old")
    index(checkout / "made", content="new")
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "Second")

    assert verify(tmp_path, "--revision", first, "published") == 0
    assert verify(tmp_path, "--revision", "HEAD", "published") == 1
    assert git(checkout, "status", "--porcelain") == ""


def test_release_is_rebuilt_from_the_commit_that_it_states(
    checkout: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (checkout / "tools/bazel").write_text(f"{BAZEL}echo called $@\n")
    git(checkout, "commit", "-q", "-a", "-m", "Second")
    revision = git(checkout, "rev-parse", "HEAD")
    index(tmp_path / "published", labels={REVISION: revision})

    assert verify(tmp_path, "--stated-revision", "published") == 1
    # And takes no results of others.
    called = "called build --disk_cache= --noremote_accept_cached --config=release //image:index"
    assert called in capfd.readouterr().out


def test_statement_names_subject_commit_and_locks(checkout: Path, tmp_path: Path) -> None:
    index(tmp_path / "built")

    assert verify(tmp_path, "built", "--statement", "statement.json") == 0
    said: dict[str, Any] = json.loads((tmp_path / "statement.json").read_text())
    root = json.loads((tmp_path / "built/index.json").read_text())["manifests"][0]["digest"]
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["subject"] == [{"name": "built", "digest": {"sha256": root.partition(":")[2]}}]
    dependencies = said["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert dependencies[0]["digest"] == {"gitCommit": git(checkout, "rev-parse", "HEAD")}
    assert [each["name"] for each in dependencies[1:]] == ["requirements_lock.txt"]


def test_another_checkout_that_a_hook_of_git_names_is_not_meant(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(tmp_path / "built")
    revision, other = git(checkout, "rev-parse", "HEAD"), tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "Another")
    monkeypatch.setenv("GIT_DIR", f"{other}/.git")
    monkeypatch.setenv("GIT_WORK_TREE", str(other))

    assert verify(tmp_path, "built", "--statement", "statement.json") == 0

    said: dict[str, Any] = json.loads((tmp_path / "statement.json").read_text())
    dependencies = said["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert dependencies[0]["digest"] == {"gitCommit": revision}


@pytest.mark.usefixtures("checkout")
def test_a_statement_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index(tmp_path / "built")
    (tmp_path / "statement.json/inside").mkdir(parents=True)

    assert "statement.json" in refused(tmp_path, capsys, "built", "--statement", "statement.json")
    assert not list(tmp_path.glob("*.partial"))


def test_no_statement_is_written_of_a_difference(tmp_path: Path) -> None:
    index(tmp_path / "built")
    index(tmp_path / "published", content="2")

    assert verify(tmp_path, "published", "--statement", "statement.json") == 1
    assert not (tmp_path / "statement.json").exists()


def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert verify(tmp_path, *arguments) == 2
    return capsys.readouterr().err


def test_no_statement_is_written_of_changed_files(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index(tmp_path / "built")
    (checkout / "untracked").touch()

    said = refused(tmp_path, capsys, "built", "--statement", "statement.json")
    assert "no statement is written" in said
    assert not (tmp_path / "statement.json").exists()


def test_unknown_commit_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index(tmp_path / "built")

    assert "has no commit abcdef: fetch it" in refused(
        tmp_path, capsys, "--revision", "abcdef", "built"
    )


def test_image_that_states_no_revision_is_said_to_be_no_release(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index(tmp_path / "built")

    assert "it is no release" in refused(tmp_path, capsys, "--stated-revision", "built")


def test_checkout_without_git_is_verified_and_called_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(tmp_path))
    index(tmp_path / "built")

    assert verify(tmp_path, "built") == 0
    assert "which is no git checkout" in capsys.readouterr().out


def test_commit_that_does_not_build_is_named(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "broken").touch()
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "Broken")
    index(tmp_path / "built")

    said = refused(tmp_path, capsys, "--revision", "HEAD", "built")
    assert "//image:index does not build at revision" in said


def test_missing_image_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image(tmp_path / "built", ITEMS)

    assert "it is no reference" in refused(tmp_path, capsys, "nothing")


COSIGN = """#!/bin/sh
echo "$1" >> cosign.log
test "$1" = "$FAILS" || exit 0
echo "Error: no matching signatures" >&2
exit 1
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cosign").write_text(COSIGN)
    (tmp_path / "cosign").chmod(0o755)
    (tmp_path / "key.pub").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cosign"


def test_an_image_that_is_not_signed_is_refused_before_the_rebuild_is_compared(
    stand_in: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    index(tmp_path / "built")
    monkeypatch.setenv("FAILS", "verify")

    with registry(index(tmp_path / "published")) as place:
        code = verify(
            tmp_path, f"{place}/todo:latest", "--key=key.pub", f"--cosign={stand_in}", "--insecure"
        )

    said = capsys.readouterr().out
    assert code == 1
    assert said.startswith(f"Refused: {place}/todo@sha256:")
    assert said.endswith(f"is not signed by {tmp_path}/key.pub: no matching signatures\n")


def test_attestations_are_demanded_too(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(tmp_path / "built")
    monkeypatch.setenv("FAILS", "verify-attestation")

    with registry(index(tmp_path / "published")) as place:
        code = verify(
            tmp_path, f"{place}/todo:latest", "--key=key.pub", f"--cosign={stand_in}", "--insecure"
        )

    assert code == 1
    # The index and both images are signed; then the first SBOM is missing.
    assert (tmp_path / "cosign.log").read_text().split() == ["verify"] * 3 + ["verify-attestation"]


def test_a_key_that_is_not_there_proves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index(tmp_path / "built")

    assert "nowhere.pub: no such public key" in refused(
        tmp_path, capsys, "built", "--key=nowhere.pub"
    )


def test_a_missing_cosign_proves_nothing(
    stand_in: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    index(tmp_path / "built")
    monkeypatch.setattr("shutil.which", lambda *_: None)

    assert "cosign is not in PATH" in refused(tmp_path, capsys, "built", "--key=key.pub")
