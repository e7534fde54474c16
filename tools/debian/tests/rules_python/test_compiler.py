"""Tests find byte-code beside the modules of wheels, and none of a module that does not compile."""

import importlib.metadata
import importlib.util
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tools.debian.modules.rules_python.wheels import compiler

# The original of rules_python keeps RECORD, which names all files, and adds none.
is_original = importlib.metadata.distribution("pytest").read_text("RECORD") is not None


@pytest.mark.skipif(is_original, reason="byte-code is made by the adapter of rules_python")
def test_a_wheels_modules_have_byte_code_that_is_not_checked_at_each_start() -> None:
    found = importlib.util.find_spec("pytest")
    assert found is not None
    assert found.cached is not None
    assert found.origin is not None

    content, source = Path(found.cached).read_bytes(), Path(found.origin).read_bytes()

    assert content[:4] == importlib.util.MAGIC_NUMBER
    assert struct.unpack("<I", content[4:8]) == (1,)
    assert content[8:16] == importlib.util.source_hash(source)


def test_a_module_is_loaded_from_it_and_knows_its_own_place(tmp_path: Path) -> None:
    source = tmp_path / "asked.py"
    source.write_text("def where(): return where.__code__.co_filename\n")
    compiler.write(["--folder", str(tmp_path / "__pycache__"), str(source)])
    # Were the source read, this would be a syntax error.
    source.write_text("?")

    done = subprocess.run(
        [sys.executable, "-c", "import asked; print(asked.where())"],
        capture_output=True,
        check=True,
        env={"PYTHONPATH": str(tmp_path)},
        text=True,
    )

    assert done.stdout == f"{source}\n"


def test_each_folder_gets_its_own_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("a/x.py", "b/x.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(f"NAME = {name!r}\n")
    lines = [
        word
        for name in ("a", "b")
        for word in ("--folder", str(tmp_path / name / "made"), str(tmp_path / name / "x.py"))
    ]

    found = []
    for _ in range(2):
        compiler.write(lines)
        found.append([file.read_bytes() for file in sorted(tmp_path.rglob("*.pyc"))])

    assert len(found[0]) == 2
    assert found[0] == found[1]


@pytest.mark.parametrize("content", [b"{{ name }} = 1 2\n", b"x = '\0'\n", b"\xff\n"])
def test_what_does_not_compile_is_left_out(tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "template.py"
    source.write_bytes(content)

    compiler.write(["--folder", str(tmp_path / "made"), str(source)])

    assert list((tmp_path / "made").iterdir()) == []
