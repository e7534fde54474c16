"""What is made of a wheel beforehand is what a layer would have made itself, or a refusal."""

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from rules.layers import bytecode, wheel
from rules.layers.elf import ElfError
from rules.layers.prepared import Prepared
from rules.layers.strip import Strip
from rules.layers.tests.test_writer import Write, write

__all__ = ["write"]

SOURCE = b"def f(): return 1\n"
METADATA = "../fast/site-packages/fast-1.0.dist-info/METADATA"
CONTENTS = {
    "lib/fast/__init__.py": SOURCE,
    "lib/fast/broken.py": b"?",
    "lib/fast/core.so": b"symbols and code",
    "lib/fast/torn.so": b"torn",
}


class Shorter(Strip):
    """Takes symbols from whatever has them."""

    def __init__(self) -> None:
        pass

    def stripped(self, content: bytes, architecture: str) -> bytes | None:
        if content == b"torn":
            raise ElfError(f"it is torn, for {architecture}")
        return content.removeprefix(b"symbols and ") if content.startswith(b"symbols") else None


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    file = tmp_path / "fast.prepared"
    wheel.prepare(file, CONTENTS, Shorter(), "amd64")
    return file


def runfiles(folder: Path, *names: str) -> list[str]:
    """Arguments that install files of the wheel."""
    found = ["--packages-path=/lib", "--import-root=fast/site-packages", "--compile=/lib"]
    (folder / "METADATA").touch()
    found += ["--runfile", METADATA, str(folder / "METADATA")]
    for name in names:
        (folder / name).write_bytes(CONTENTS[f"lib/fast/{name}"])
        found += ["--runfile", f"../fast/site-packages/fast/{name}", str(folder / name)]
    return found


def entries(tmp_path: Path) -> dict[str, bytes]:
    with tarfile.open(tmp_path / "layer") as archive:
        return {
            member.name: stream.read()
            for member in archive
            if member.isfile() and (stream := archive.extractfile(member))
        }


def test_byte_code_is_what_a_layer_makes_itself(prepared: Path) -> None:
    found = Prepared([prepared])

    path = "lib/fast/__init__.py"
    assert found.byte_code(path) == bytecode.compiled(path, SOURCE)
    assert found.byte_code("lib/fast/broken.py") is None
    assert found.byte_code("lib/other.py") is None


def test_the_same_wheel_gives_the_same_file_in_any_order(prepared: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    wheel.prepare(again, dict(reversed(CONTENTS.items())), Shorter(), "amd64")

    assert again.read_bytes() == prepared.read_bytes()


def test_a_layer_has_the_stripped_file_and_says_of_what_it_is(
    write: Write, prepared: Path, tmp_path: Path
) -> None:
    arguments = runfiles(tmp_path, "__init__.py", "core.so")

    assert write(*arguments, f"--prepared={prepared}", "--strip") == 0

    assert entries(tmp_path)["lib/fast/core.so"] == b"code"
    rows = [json.loads(line) for line in (tmp_path / "contents").read_text().splitlines()]
    (row,) = [row for row in rows if row["path"] == "/lib/fast/core.so"]
    assert row["stripped"] == hashlib.sha256(CONTENTS["lib/fast/core.so"]).hexdigest()
    assert row["sha256"] == hashlib.sha256(b"code").hexdigest()
    assert (row["origin"], row["made_of"]) == ("fast==1.0", ["/lib/fast/core.so"])
    assert [row["path"] for row in rows if "stripped" in row] == ["/lib/fast/core.so"]


def test_a_layer_that_strips_nothing_is_the_one_without_preparation(
    write: Write, prepared: Path, tmp_path: Path
) -> None:
    arguments = runfiles(tmp_path, "__init__.py", "core.so", "torn.so")
    assert write(*arguments) == 0
    alone = (tmp_path / "layer").read_bytes()

    assert write(*arguments, f"--prepared={prepared}") == 0

    assert (tmp_path / "layer").read_bytes() == alone
    assert entries(tmp_path)["lib/fast/core.so"] == CONTENTS["lib/fast/core.so"]


def test_what_cannot_be_stripped_stops_the_build_and_is_named_with_its_wheel(
    write: Write, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = runfiles(tmp_path, "torn.so")

    assert write(*arguments, f"--prepared={prepared}", "--strip") == 1

    told = capsys.readouterr().err
    assert "/lib/fast/torn.so from fast==1.0 cannot be stripped: it is torn, for amd64" in told
    assert "image/exclusions.toml, or say strip = False" in told
    assert not (tmp_path / "layer").exists()


def test_what_the_layer_leaves_out_may_be_broken(
    write: Write, prepared: Path, tmp_path: Path
) -> None:
    (tmp_path / "x.toml").write_text('[exclude]\n"/lib/fast/[bt]*" = "broken"\n')
    arguments = runfiles(tmp_path, "__init__.py", "broken.py", "torn.so")

    assert (
        write(*arguments, f"--prepared={prepared}", "--strip", f"--exclude={tmp_path}/x.toml") == 0
    )
