"""The packed standard library runs from its archive and tells nothing of where it was packed."""

import importlib.util
import marshal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rules.debian.private import library


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "lib/python3.13"
    (source / "package").mkdir(parents=True)
    (source / "os.py").write_text("sep = '/'\n")
    (source / "package/__init__.py").write_text("def fail():\n    raise ValueError\n")
    (source / "package/data.txt").write_text("stays")
    return source


def packed(folder: Path) -> Path:
    archive = folder.parent / "python313.zip"
    library.pack(folder, archive)
    return archive


def test_each_source_is_there_with_its_byte_code(folder: Path) -> None:
    with zipfile.ZipFile(packed(folder)) as archive:
        assert archive.namelist() == [
            "os.pyc",
            "os.py",
            "package/__init__.pyc",
            "package/__init__.py",
        ]


def test_the_sources_leave_the_folder_but_for_the_landmark(folder: Path) -> None:
    packed(folder)

    left = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    assert left == ["os.py", "package", "package/data.txt"]


def test_byte_code_is_valid_without_a_look_at_times(folder: Path) -> None:
    with zipfile.ZipFile(packed(folder)) as archive:
        code = archive.read("os.pyc")

    # PEP 552: bit 0 says that a hash is there, bit 1, which is not set, that it is checked.
    assert code[:4] == importlib.util.MAGIC_NUMBER
    assert code[4:8] == b"\x01\x00\x00\x00"
    assert code[8:16] == importlib.util.source_hash(b"sep = '/'\n")


def test_byte_code_names_no_folder_of_the_machine(folder: Path) -> None:
    with zipfile.ZipFile(packed(folder)) as archive:
        code = marshal.loads(archive.read("package/__init__.pyc")[16:])

    assert code.co_filename == "python313.zip/package/__init__.py"


def test_two_folders_give_the_same_archive(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere/python3.13"
    for file in folder.rglob("*"):
        if file.is_file():
            (other / file.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (other / file.relative_to(folder)).write_bytes(file.read_bytes())

    assert packed(folder).read_bytes() == packed(other).read_bytes()


def test_a_traceback_shows_the_source_out_of_the_archive(folder: Path) -> None:
    archive = packed(folder)
    program = "import sys; sys.path.insert(0, sys.argv[1]); import package; package.fail()"

    done = subprocess.run(
        [sys.executable, "-c", program, archive], capture_output=True, text=True, check=False
    )

    assert "    raise ValueError\n" in done.stderr
