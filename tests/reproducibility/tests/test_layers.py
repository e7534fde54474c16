"""The fast rows: the program that writes layers is run under each variation, without Bazel.

An action is given a fixed environment; here the program itself meets what Bazel would keep from it.
"""

import hashlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.reproducibility.variations import Machine, Variation, variations

# As many as several processes compile, and as much as several threads compress.
_MODULES = 220
_BYTES = 3 << 20
_PROGRAM = """\
import runpy, sys
sys.path[:0] = sys.argv.pop(1).split(":")
runpy.run_module("rules.layers.writer", run_name="__main__", alter_sys=True)
"""
FAKETIME = Path(os.environ.get("LIBFAKETIME", "missing"))

# What of the matrix takes nothing but another process; and what Bazel fixes for its actions.
ROWS = [
    *(
        each
        for each in variations("/tmp/elsewhere")
        if not (each.root or each.options or each.clone or each.suite)
        and (each.machine == Machine.SAME and each.steps == ("build",))
    ),
    Variation("hash seed", "the order of sets", environment={"PYTHONHASHSEED": "4242"}),
    Variation("one CPU", "number of threads", prefix=("taskset", "--cpu-list", "0")),
    Variation("addresses", "addresses in repr()", prefix=("setarch", "--addr-no-randomize")),
]


def write(
    folder: Path, inputs: Path, variation: Variation, python: Sequence[str] = (sys.executable,)
) -> list[bytes]:
    """The layer, its descriptor and its contents, written under a variation."""
    folder.mkdir(parents=True)
    source = folder / "inputs"
    shutil.copytree(inputs, source)
    for path in source.iterdir():
        path.chmod(path.stat().st_mode & 0o777 & ~variation.copy_umask)
        if variation.modified is not None:
            os.utime(path, (variation.modified, variation.modified))
    outputs = [folder / name for name in ("layer", "descriptor", "contents")]
    words = [f"--{path.name}={path}" for path in outputs]
    words += ["--directory=/tmp", "--compile=/app", "--symlink", "/usr/bin/python3", "python3.13"]
    # Unsorted, as a careless rule would name them.
    for path in source.iterdir():
        words += ["--file", f"/{'app' if path.suffix == '.py' else 'data'}/{path.name}", str(path)]
    (folder / "arguments").write_text("\n".join(words))
    subprocess.run(
        [
            *variation.prefix,
            *(*python, "-c", _PROGRAM, ":".join(sys.path), f"@{folder / 'arguments'}"),
        ],
        env={"PATH": os.environ["PATH"], **variation.environment},
        cwd=folder,
        umask=variation.umask,
        check=True,
    )
    return [path.read_bytes() for path in outputs]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    for number in range(_MODULES):
        text = f"import os\n\nNAMES = {{'a', 'b', 'c{number}'}}\nprint(os.getcwd(), {number}j)\n"
        (folder / f"m{number}.py").write_text(text)
    (folder / "data").write_bytes(random.Random(1).randbytes(_BYTES // 2) * 2)
    (folder / "program").write_text("#!/bin/sh\n")
    (folder / "program").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def baseline(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("baseline")
    return write(folder / "checkout", inputs, Variation("baseline", ""))


@pytest.mark.parametrize("variation", ROWS, ids=lambda each: each.name)
def test_variation_changes_no_byte_of_a_layer(
    variation: Variation, inputs: Path, baseline: list[bytes], tmp_path: Path
) -> None:
    assert write(tmp_path / variation.folder, inputs, variation) == baseline


def test_clock_ten_years_ahead_changes_no_byte_of_a_layer(
    inputs: Path, baseline: list[bytes], tmp_path: Path
) -> None:
    library = next(FAKETIME.rglob("libfaketimeMT.so.1")).resolve()
    # The shell that starts the interpreter runs on the machine's C library, which may be older.
    root = Path(sys.executable).resolve().parents[2]
    loader = next(root.glob("usr/lib/*-linux-gnu/ld-linux-*.so.*"))
    python = [str(loader), "--preload", str(library), "--argv0", sys.executable]
    python += ["--library-path", str(loader.parent), f"{root}/usr/bin/python3.13"]
    ahead = {"FAKETIME": "+3650d"}
    now = subprocess.run(
        [*python, "-c", "import time; print(time.time())"],
        env=ahead,
        capture_output=True,
        check=True,
    )
    assert float(now.stdout) > tmp_path.stat().st_mtime + 9 * 365 * 24 * 3600

    clock = Variation("clock", "", environment=ahead)
    assert write(tmp_path / "clock", inputs, clock, python) == baseline


def test_other_input_changes_the_layer(inputs: Path, baseline: list[bytes], tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(inputs, other)
    (other / "m7.py").write_text("import os\n")
    variation = replace(ROWS[0], folder="checkout")

    layers = write(tmp_path / "checkout", other, variation)

    assert hashlib.sha256(layers[0]).digest() != hashlib.sha256(baseline[0]).digest()
