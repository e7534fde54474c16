"""The newest of what the archive offers is locked, and what changed is told."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rules.debian import update
from rules.debian.update import Package, UpdateError
from tools.terminal.tests.full import Full

LIBC = Package("libc6", "amd64", "2.41-12", "trixie", "pool/main/g/libc6.deb", 5, "0" * 64)


@pytest.fixture(autouse=True)
def dpkg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Stands for dpkg --compare-versions A gt B, well enough for the versions below.
    (tmp_path / "dpkg").write_text('#!/bin/sh\n[ "$2" \\> "$4" ]\n')
    (tmp_path / "dpkg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def test_the_newest_of_all_suites_is_chosen() -> None:
    fixed = replace(LIBC, version="2.41-13", suite="trixie-security")

    assert update.choose(["libc6"], ["amd64"], [LIBC, fixed]) == [fixed]
    assert update.choose(["libc6"], ["amd64"], [fixed, LIBC]) == [fixed]


def test_only_the_named_packages_move() -> None:
    newer = replace(LIBC, version="2.41-13", suite="trixie-security")
    zones = replace(LIBC, name="tzdata", architecture="all", version="2026a")
    fresh = replace(zones, version="2026b")
    added = replace(LIBC, name="zlib1g")
    offers = [LIBC, newer, zones, fresh, added]

    left = update.kept(offers, [LIBC, zones], ["tzdata"])

    names = ["libc6", "tzdata", "zlib1g"]
    assert update.choose(names, ["amd64"], left) == [LIBC, fresh, added]


def test_what_the_archive_has_dropped_moves_though_it_is_not_named() -> None:
    newer = replace(LIBC, version="2.41-13", suite="trixie-security")

    assert update.kept([newer], [LIBC], ["tzdata"]) == [newer]


def test_a_name_that_no_list_has_is_refused_with_the_file_to_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in update.FOLDERS:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "packages.toml").write_text('[base]\nlibc6 = "every program"\n')
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(update, "KEYRING", tmp_path)

    assert update.main(["libd7"]) == 1
    said = capsys.readouterr().err
    assert "no packages.toml lists libd7" in said
    assert "image/packages.toml" in said


def test_a_package_for_all_architectures_is_chosen_once() -> None:
    zones = replace(LIBC, name="tzdata", architecture="all")

    assert update.choose(["tzdata"], ["amd64", "arm64"], [zones, LIBC]) == [zones]


def test_what_the_archive_lacks_is_named_with_the_architecture() -> None:
    with pytest.raises(UpdateError, match=r"libc6 \(arm64\), libd7 \(amd64\), libd7 \(arm64\)"):
        update.choose(["libc6", "libd7"], ["amd64", "arm64"], [LIBC])


def test_a_metapackage_stands_for_the_package_it_depends_on() -> None:
    meta = replace(LIBC, name="linux-image-amd64", version="6.12-2")
    old = replace(LIBC, name="linux-image-6.12-1-amd64", version="6.12-1")
    new = replace(LIBC, name="linux-image-6.12-2-amd64", version="6.12-2", path="pool/new.deb")
    offers = [(meta, "linux-image-6.12-2-amd64 (= 6.12-2)"), (old, ""), (new, "kmod, libc6 (> 2)")]

    assert list(update.followed(offers, ["linux-image-amd64"])) == [
        replace(new, name="linux-image-amd64"),
        old,
        new,
    ]


@pytest.mark.parametrize("depends", ["", "linux-image-6.12", "a (= 1), b (= 1)"])
def test_what_depends_on_more_than_one_version_of_one_package_is_no_metapackage(
    depends: str,
) -> None:
    with pytest.raises(UpdateError, match="libc6: expected a metapackage"):
        list(update.followed([(LIBC, depends)], ["libc6"]))


def test_changes_are_told_a_line_each() -> None:
    newer = replace(LIBC, version="2.41-13", suite="trixie-security")
    zones = replace(LIBC, name="tzdata", architecture="all")
    gone = replace(LIBC, name="zlib1g")

    assert update.changes([LIBC, gone], [newer, zones]) == [
        "~ libc6 (amd64) 2.41-12 -> 2.41-13 from trixie-security",
        "+ tzdata (all) 2.41-12 from trixie",
        "- zlib1g (amd64) 2.41-12",
    ]


def test_the_lock_reads_back_and_has_a_package_a_line(tmp_path: Path) -> None:
    zones = replace(LIBC, name="tzdata", architecture="all")
    text = update.render([LIBC, zones], {"debian": "20260101T000000Z"})
    (tmp_path / "lock.json").write_text(text)

    assert update.read_lock(tmp_path / "lock.json") == [LIBC, zones]
    assert sum('"name"' in line for line in text.splitlines()) == 2
    assert json.loads(text)["snapshots"] == {"debian": "20260101T000000Z"}


def test_continuation_lines_are_not_fields() -> None:
    text = "Package: a\nDescription: short\n Filename: not a field\n\nPackage: b\n"

    assert list(update.stanzas(text)) == [
        {"Package": "a", "Description": "short"},
        {"Package": "b"},
    ]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in update.FOLDERS:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "packages.toml").write_text(
            'suites = ["trixie"]\narchitectures = ["amd64"]\n[base]\nlibc6 = "every program"\n'
        )
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(update, "KEYRING", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<<<<<<< HEAD\n", "expected TOML: Invalid statement"),
        ('suites = ["trixie"]\n', "architectures is None; expected a list of names"),
        ('suites = "trixie"\narchitectures = ["amd64"]\n', "suites is 'trixie'; expected a list"),
    ],
)
def test_a_list_that_cannot_be_read_is_named(
    workspace: Path, capsys: pytest.CaptureFixture[str], text: str, expected: str
) -> None:
    (workspace / "image/packages.toml").write_text(text)

    assert update.main([]) == 1

    said = capsys.readouterr().err
    assert f"{workspace}/image/packages.toml: {expected}" in said
    assert "No lock was written" in said


def test_where_one_lock_cannot_be_written_none_is(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(update, "resolve", lambda *_: ([LIBC], update.render([LIBC], {})))
    # What the last one is written to on its way.
    (workspace / update.FOLDERS[-1] / ".lock.json.new/inside").mkdir(parents=True)

    assert update.main([]) == 1

    assert "Is a directory" in capsys.readouterr().err
    assert not [
        *workspace.rglob("lock.json"),
        *(file for file in workspace.rglob(".lock.json.new") if file.is_file()),
    ]


def test_what_cannot_be_printed_is_written_all_the_same(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(update, "resolve", lambda *_: ([LIBC], update.render([LIBC], {})))

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Full())
        assert update.main([]) == 0

    assert "what changed could not be printed: [Errno 28]" in capsys.readouterr().err
    assert update.read_lock(workspace / "image/lock.json") == [LIBC]
