"""Wheels are unpacked whole, and never outside of their folder."""

import zipfile
from pathlib import Path

import pytest

from tools.debian.modules.rules_python.wheels import archive
from tools.debian.modules.rules_python.wheels.error import WheelError
from tools.debian.tests.rules_python import wheel

NAME = "one-1.0-py3-none-any.whl"


def unpacked(tmp_path: Path, **files: str) -> list[str]:
    folder = tmp_path / "repository"
    archive.unpack(wheel.make(tmp_path, NAME, **files), folder)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_modules_and_metadata_go_to_site_packages(tmp_path: Path) -> None:
    found = unpacked(tmp_path, **{"one/two.py": ""})
    assert "site-packages/one/two.py" in found
    assert "site-packages/one-1.0.dist-info/METADATA" in found


def test_the_metadata_is_found(tmp_path: Path) -> None:
    found = archive.unpack(wheel.make(tmp_path, NAME), tmp_path / "repository")
    assert found == tmp_path / "repository/site-packages/one-1.0.dist-info/METADATA"


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ("one-1.0.data/scripts/run", "bin/run"),
        ("one-1.0.data/headers/one.h", "include/one.h"),
        ("one-1.0.data/data/share/one", "data/share/one"),
        ("one-1.0.data/purelib/a.py", "site-packages/a.py"),
        ("one-1.0.data/platlib/b/c.so", "site-packages/b/c.so"),
    ],
)
def test_data_goes_where_an_installer_puts_it(tmp_path: Path, entry: str, place: str) -> None:
    assert place in unpacked(tmp_path, **{entry: ""})


@pytest.mark.parametrize("name", ["RECORD", "INSTALLER", "REQUESTED", "direct_url.json"])
def test_an_installers_traces_stay_out(tmp_path: Path, name: str) -> None:
    found = unpacked(tmp_path, **{f"one-1.0.dist-info/{name}x": "", f"one/{name}": ""})
    assert f"site-packages/one-1.0.dist-info/{name}" not in found
    assert f"site-packages/one/{name}" in found


def test_bazels_own_files_stay_out(tmp_path: Path) -> None:
    found = unpacked(tmp_path, **{"one/BUILD": "", "one/BUILD.bazel": ""})
    assert not [path for path in found if "BUILD" in path]


def test_what_can_be_run_stays_so(tmp_path: Path) -> None:
    path = wheel.make(tmp_path, NAME)
    with zipfile.ZipFile(path, "a") as entries:
        program = zipfile.ZipInfo("one-1.0.data/scripts/run")
        program.external_attr = 0o100775 << 16
        entries.writestr(program, "")
    archive.unpack(path, tmp_path)
    assert (tmp_path / "bin/run").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "site-packages/one.py").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("entry", ["../x", "/x", "one/../../x"])
def test_an_entry_that_points_outside_is_an_error(tmp_path: Path, entry: str) -> None:
    with pytest.raises(WheelError, match="points outside"):
        unpacked(tmp_path, **{entry: ""})


def test_two_entries_for_one_place_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(WheelError, match=r"two entries for site-packages/one\.py"):
        unpacked(tmp_path, **{"one-1.0.data/purelib/one.py": ""})


def test_unknown_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WheelError, match="expected one of data, headers"):
        unpacked(tmp_path, **{"one-1.0.data/elsewhere/x": ""})


def test_what_is_no_archive_is_an_error(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("not found")
    with pytest.raises(WheelError, match="is not a wheel"):
        archive.unpack(tmp_path / NAME, tmp_path)
