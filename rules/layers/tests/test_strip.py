"""What no process sees goes from ELF files; all else is the same, or the file is refused."""

import importlib.machinery
import importlib.util
import os
import platform
import stat
import struct
from pathlib import Path

import markupsafe._speedups
import pytest

from rules.layers import elf
from rules.layers.elf import ElfError
from rules.layers.strip import Strip

HERE, ELSEWHERE = ("amd64", "arm64") if platform.machine() == "x86_64" else ("arm64", "amd64")
# As its wheel has it, with symbols and debug information.
EXTENSION = Path(markupsafe._speedups.__file__)
CONTENT = EXTENSION.read_bytes()
# Does what strip does in form, and then what it must not.
FAKE = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
cp "$3" "$2"
{harm}
"""


@pytest.fixture(scope="module")
def strip() -> Strip:
    return Strip(Path(os.environ["STRIP"]))


def fake(root: Path, harm: str) -> Strip:
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/any-strip").touch()
    loader = root / "usr/lib/any-linux-gnu/ld-linux-any.so.2"
    loader.parent.mkdir(parents=True)
    loader.write_text(FAKE.format(harm=harm))
    loader.chmod(loader.stat().st_mode | stat.S_IXUSR)
    return Strip(root)


def changed(offset: int, value: bytes) -> bytes:
    return CONTENT[:offset] + value + CONTENT[offset + len(value) :]


def test_symbols_and_debug_information_go_and_nothing_that_is_loaded(strip: Strip) -> None:
    assert {".symtab", ".debug_info"} <= set(elf.for_debuggers(CONTENT))

    made = strip.stripped(CONTENT, HERE)

    assert made is not None
    assert elf.for_debuggers(made) == []
    assert len(made) < len(CONTENT) / 2
    elf.compare(CONTENT, made)


def test_it_gives_the_same_each_time_and_leaves_its_own_result(strip: Strip) -> None:
    made = strip.stripped(CONTENT, HERE)

    assert made is not None
    assert strip.stripped(CONTENT, HERE) == made
    assert strip.stripped(made, HERE) is None


def test_a_stripped_extension_module_loads_and_works(strip: Strip, tmp_path: Path) -> None:
    made = strip.stripped(CONTENT, HERE)
    assert made is not None
    file = tmp_path / EXTENSION.name
    file.write_bytes(made)

    loader = importlib.machinery.ExtensionFileLoader("stripped._speedups", str(file))
    spec = importlib.util.spec_from_file_location("stripped._speedups", file, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)

    assert module._escape_inner("<") == "&lt;"


@pytest.mark.parametrize(
    "content",
    [b"", b"\x7fEL", b"plain text", changed(16, struct.pack("<H", 1))],
    ids=["empty", "short", "text", "still to be linked"],
)
def test_other_files_stay_as_they_are(strip: Strip, content: bytes) -> None:
    assert strip.stripped(content, HERE) is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (CONTENT[:40], "torn ELF file: the header has 64 bytes, the file 40"),
        (CONTENT[:200], "torn ELF file"),
        (CONTENT[: len(CONTENT) // 2], "torn ELF file"),
        (CONTENT[:-1], "torn ELF file"),
        (b"\x7fELF is how such files begin." + bytes(100), "expected one of 64 bits"),
        (changed(4, b"\1"), "expected one of 64 bits"),
        (changed(18, struct.pack("<H", 243)), f"expected an ELF file for {HERE}, got one for m"),
        (changed(40, struct.pack("<Q", 1 << 40)), "torn ELF file"),
    ],
)
def test_a_broken_or_foreign_one_is_refused(strip: Strip, content: bytes, expected: str) -> None:
    with pytest.raises(ElfError, match=expected):
        strip.stripped(content, HERE)


def test_one_for_the_other_cpu_is_refused(strip: Strip) -> None:
    with pytest.raises(ElfError, match=f"expected an ELF file for {ELSEWHERE}, got one for {HERE}"):
        strip.stripped(CONTENT, ELSEWHERE)


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        ("echo odd layout >&2", "strip ended with 0 and said: odd layout"),
        ("exit 3", "strip ended with 3"),
        ("", "strip left .*symtab"),
        # A byte of code, the entry point, a segment's size in memory, its offset in the file.
        ('printf Z | dd of="$2" bs=1 seek=4200 conv=notrunc status=none', "became something else"),
        (
            'printf Z | dd of="$2" bs=1 seek=25 conv=notrunc status=none',
            "entry point became others",
        ),
        ('printf Z | dd of="$2" bs=1 seek=106 conv=notrunc status=none', "segments became others"),
        ('printf Z | dd of="$2" bs=1 seek=72 conv=notrunc status=none', "became"),
    ],
)
def test_a_result_that_a_process_would_see_is_refused(
    tmp_path: Path, harm: str, expected: str
) -> None:
    with pytest.raises(ElfError, match=expected):
        fake(tmp_path, harm).stripped(CONTENT, HERE)


def test_a_root_without_the_program_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected one usr/bin/"):
        Strip(tmp_path)
