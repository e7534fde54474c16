"""Byte-code depends on the source alone, and needs no look at a time."""

import argparse
import contextlib
import importlib.util
import inspect
import marshal
import random
import subprocess
import sys
import types
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from rules.layers import bytecode
from rules.layers.tree import File, LayerError, Tree

SOURCES = {
    f"app/m{number}.py": f"import os\ndef f{number}(a, b): return {{'k{number}': os.sep, 'x': a}}\n"
    for number in range(250)
}


class Pools:
    """Stands for `multiprocessing`'s contexts, and keeps how many processes were asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cores: int | None) -> None:
        self.sizes: list[int] = []
        monkeypatch.setattr("os.process_cpu_count", lambda: cores)
        monkeypatch.setattr("multiprocessing.get_context", lambda _: self)

    def Pool(self, processes: int) -> contextlib.AbstractContextManager["Pools"]:  # noqa: N802
        self.sizes.append(processes)
        return contextlib.nullcontext(self)

    def map[A, B](self, work: Callable[[A], B], items: Iterable[A], **_: int) -> list[B]:
        return list(map(work, items))


def compiled(sources: dict[str, str]) -> dict[str, bytes]:
    tree = Tree()
    for path, source in sources.items():
        tree.add(path, File(source.encode(), False, "test"))
    bytecode.add(tree, ["/app"])
    return {path: file.read() for path, file in tree.files() if path.endswith(".pyc")}


def test_a_source_gets_an_unchecked_hash_pyc_beside_it() -> None:
    source = "answer = 42\n"

    found = compiled({"app/deep/m.py": source})

    [(path, content)] = found.items()
    assert path == "app/deep/__pycache__/m.cpython-313.pyc"
    assert content[:4] == importlib.util.MAGIC_NUMBER
    assert content[4:8] == b"\x01\0\0\0"
    assert content[8:16] == importlib.util.source_hash(source.encode())


def test_tracebacks_name_the_path_in_the_image() -> None:
    [content] = compiled({"app/m.py": "x = 1\n"}).values()

    code = marshal.loads(content[16:])

    assert isinstance(code, types.CodeType)
    assert code.co_filename == "/app/m.py"


def test_the_order_and_number_of_sources_change_no_byte() -> None:
    shuffled = list(SOURCES.items())
    random.Random(7).shuffle(shuffled)

    assert compiled(dict(shuffled)) == compiled(SOURCES)
    assert (
        compiled({"app/m7.py": SOURCES["app/m7.py"]})["app/__pycache__/m7.cpython-313.pyc"]
        == (compiled(SOURCES)["app/__pycache__/m7.cpython-313.pyc"])
    )


def test_what_the_process_has_imported_changes_no_byte(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "if sys.argv[1] == 'many': import asyncio, email, http.client, sqlite3, unittest\n"
        "from rules.layers.bytecode import compiled\n"
        "source = open(sys.argv[2], 'rb').read()\n"
        "sys.stdout.buffer.write(compiled('app/m.py', source))\n"
    )
    source = tmp_path / "m.py"
    source.write_text(inspect.getsource(argparse))
    results = {
        subprocess.run(
            [sys.executable, "-c", program, kind, source],
            stdout=subprocess.PIPE,
            check=True,
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
        ).stdout
        for kind, seed in [("few", "0"), ("many", "0"), ("many", "99")]
    }

    assert len(results) == 1


def test_a_source_elsewhere_stays_as_it_is() -> None:
    assert compiled({"etc/m.py": "x = 1\n"}) == {}


def test_a_source_that_does_not_compile_is_named() -> None:
    with pytest.raises(LayerError, match=r"/app/m.py from test does not compile"):
        compiled({"app/m.py": "print 'old'\n"})


def test_a_source_that_warns_is_compiled_in_silence() -> None:
    """Warnings are errors here."""
    assert len(compiled({"app/m.py": "x = '\\d'\n"})) == 1


def test_assertions_and_docstrings_stay() -> None:
    [content] = compiled({"app/m.py": "'What for.'\nassert x\n"}).values()

    code = marshal.loads(content[16:])

    assert "What for." in code.co_consts
    with pytest.raises(AssertionError):
        exec(code, {"x": False})


def test_byte_code_is_no_program() -> None:
    tree = Tree()
    tree.add("app/m.py", File(b"x = 1\n", True, "test"))

    bytecode.add(tree, ["/app"])

    assert {path: file.executable for path, file in tree.files()} == {
        "app/m.py": True,
        "app/__pycache__/m.cpython-313.pyc": False,
    }


@pytest.mark.parametrize(
    ("cores", "sources", "processes"),
    [
        (8, 0, []),
        (8, 199, []),
        (8, 200, [2]),
        (8, 499, [4]),
        (2, 900, [2]),
        (1, 900, []),
        (None, 900, []),
    ],
)
def test_a_hundred_sources_are_worth_a_process(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, sources: int, processes: list[int]
) -> None:
    pools = Pools(monkeypatch, cores)

    made = bytecode.compiled_all([(f"m{n}.py", b"x = 1\n") for n in range(sources)])

    assert pools.sizes == processes
    assert len(made) == sources
