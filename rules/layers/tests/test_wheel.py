"""A wheel is packed for layers without what is left out, stripped and compiled, or is refused."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rules.layers import bytecode, part, wheel
from rules.layers.elf import ElfError
from rules.layers.part import Part
from rules.layers.strip import Strip

ROOT = "site-packages"
SOURCE = b"def f(): return 1\n"
FAT = b"symbols and code"
CONTENTS = {
    f"{ROOT}/fast-1.0.dist-info/METADATA": b"",
    f"{ROOT}/fast-1.0.dist-info/RECORD": b"",
    f"{ROOT}/fast/__init__.py": SOURCE,
    f"{ROOT}/fast/core.so": FAT,
}

Pack = Callable[..., int]


class Shorter(Strip):
    """Takes symbols from whatever has them."""

    def __init__(self, root: Path) -> None:
        pass

    def stripped(self, content: bytes, architecture: str) -> bytes | None:
        if content == b"torn":
            raise ElfError(f"it is torn, for {architecture}")
        return content.removeprefix(b"symbols and ") if content.startswith(b"symbols") else None


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pack:
    """Packs files of a wheel, by their path in its repository."""
    monkeypatch.setattr(wheel, "Strip", Shorter)
    (tmp_path / "x.toml").write_text('[exclude]\n"*/RECORD" = "differs"\n')

    def run(contents: dict[str, bytes], *arguments: str) -> int:
        words = [
            *(f"--packed={tmp_path}/packed", f"--contents={tmp_path}/contents"),
            *("--packages-path=/lib", "--import-root=fast/site-packages"),
            *("--architecture=amd64", f"--exclude={tmp_path}/x.toml", *arguments),
        ]
        for number, (path, content) in enumerate(contents.items()):
            source = tmp_path / str(number)
            source.write_bytes(content)
            words += ["--runfile", f"../fast/{path}", str(source)]
        (tmp_path / "arguments").write_text("\n".join(words))
        monkeypatch.setattr("sys.argv", ["wheel", f"@{tmp_path}/arguments"])
        return wheel.main()

    return run


def packed(tmp_path: Path) -> Part:
    return part.read(tmp_path / "packed", tmp_path / "contents")


def entries(tmp_path: Path) -> dict[str, bytes]:
    return {path: file.read() for path, file in packed(tmp_path).files()}


def test_a_part_has_files_and_byte_code_of_the_wheel_in_order(pack: Pack, tmp_path: Path) -> None:
    assert pack(CONTENTS, "--compile=/lib") == 0

    found = entries(tmp_path)
    assert list(found) == [
        "lib/fast/__init__.py",
        "lib/fast/__pycache__/__init__.cpython-313.pyc",
        "lib/fast/core.so",
        "lib/fast-1.0.dist-info/METADATA",
    ]
    made = found["lib/fast/__pycache__/__init__.cpython-313.pyc"]
    assert made == bytecode.compiled("lib/fast/__init__.py", SOURCE)
    assert packed(tmp_path).origin == "fast==1.0"


def test_no_file_of_a_wheel_is_a_program(pack: Pack, tmp_path: Path) -> None:
    assert pack(CONTENTS, "--compile=/lib") == 0

    assert {row["mode"] for row in packed(tmp_path).rows} == {"0644"}


def test_the_same_wheel_gives_the_same_bytes_in_any_order(pack: Pack, tmp_path: Path) -> None:
    assert pack(CONTENTS) == 0
    first = (tmp_path / "packed").read_bytes()

    assert pack(dict(reversed(CONTENTS.items()))) == 0

    assert (tmp_path / "packed").read_bytes() == first


def test_what_lies_in_no_folder_that_python_imports_from_stays_out(
    pack: Pack, tmp_path: Path
) -> None:
    assert pack({"bin/fast": b"run", f"{ROOT}/fast/__init__.py": SOURCE}) == 0

    assert list(entries(tmp_path)) == ["lib/fast/__init__.py"]


def test_a_stripped_file_says_of_what_it_is(pack: Pack, tmp_path: Path) -> None:
    assert pack(CONTENTS, "--strip=root") == 0

    rows = [json.loads(line) for line in (tmp_path / "contents").read_text().splitlines()]
    (row,) = [row for row in rows if "stripped" in row]
    assert row["path"] == "/lib/fast/core.so"
    assert row["stripped"] == hashlib.sha256(FAT).hexdigest()
    assert row["sha256"] == hashlib.sha256(b"code").hexdigest()
    assert (row["origin"], row["made_of"]) == ("fast==1.0", ["/lib/fast/core.so"])
    assert entries(tmp_path)["lib/fast/core.so"] == b"code"


def test_nothing_is_stripped_or_compiled_unasked(pack: Pack, tmp_path: Path) -> None:
    assert pack(CONTENTS) == 0

    assert entries(tmp_path)["lib/fast/core.so"] == FAT
    assert not [path for path in entries(tmp_path) if path.endswith(".pyc")]


def test_what_cannot_be_stripped_stops_the_build_and_is_named_with_its_wheel(
    pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pack(CONTENTS | {f"{ROOT}/fast/torn.so": b"torn"}, "--strip=root") == 1

    told = capsys.readouterr().err
    assert "/lib/fast/torn.so from fast==1.0 cannot be stripped: it is torn, for amd64" in told
    assert "image/exclusions.toml, or say strip = False" in told
    assert not (tmp_path / "packed").exists()


def test_what_does_not_compile_stops_the_build_and_is_named_with_its_wheel(
    pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pack(CONTENTS | {f"{ROOT}/fast/broken.py": b"?"}, "--compile=/lib") == 1

    told = capsys.readouterr().err
    assert "/lib/fast/broken.py from fast==1.0 does not compile" in told
    assert not (tmp_path / "packed").exists()


def test_what_is_left_out_may_be_broken(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "y.toml").write_text('[exclude]\n"/lib/fast/[bt]*" = "broken"\n')
    broken = {f"{ROOT}/fast/broken.py": b"?", f"{ROOT}/fast/torn.so": b"torn"}

    arguments = ("--strip=root", "--compile=/lib", f"--exclude={tmp_path}/y.toml")
    assert pack(CONTENTS | broken, *arguments) == 0

    assert not [path for path in entries(tmp_path) if "broken" in path or "torn" in path]


def test_few_modules_are_imported_before_a_wheel_is_read() -> None:
    """Each wheel has a process, and to import is most of what small ones take."""
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import rules.layers.wheel"],
        capture_output=True,
        check=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path)},
        text=True,
    ).stderr
    imported = {line.rpartition("|")[2].strip() for line in told.splitlines()}

    assert "rules.layers.wheel" in imported
    slow = {"dataclasses", "inspect", "multiprocessing", "subprocess", "tempfile", "zipfile"}
    assert not imported & slow


@pytest.mark.parametrize("missing", ["packed", "contents", "packages-path", "architecture"])
def test_every_output_and_where_it_is_for_have_to_be_named(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("packed", "contents", "packages-path", "architecture")
    monkeypatch.setattr(
        "sys.argv", ["wheel", *(f"--{each}=x" for each in names if each != missing)]
    )

    with pytest.raises(SystemExit):
        wheel.main()

    assert f"required: --{missing}" in capsys.readouterr().err


def test_a_refused_wheel_fails_the_action(
    pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack({f"{ROOT}/broken.py": b"?"}, "--compile=/lib")

    done = subprocess.run(
        [sys.executable, "-m", "rules.layers.wheel", f"@{tmp_path}/arguments"],
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path)},
        text=True,
    )

    assert (done.returncode, done.stderr) == (1, capsys.readouterr().err)
