"""The lock of wheels is read to the letter, and nonsense in it is named by file and line."""

from pathlib import Path

import pytest

from tools.locks import wheels
from tools.locks.error import LockError
from tools.locks.wheels import Pin

A, B = "a" * 64, "b" * 64


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lock.txt"


def read(file: Path, text: str) -> list[Pin]:
    file.write_text(text)
    return wheels.read(file, "lock.txt")


def test_every_hash_of_a_pin_is_read(file: Path) -> None:
    text = f"one==1.0 \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B}\n    # via two\n"
    assert [(pin.name, pin.version, pin.hashes) for pin in read(file, text)] == [
        ("one", "1.0", (A, B))
    ]


def test_names_are_spelled_as_in_labels(file: Path) -> None:
    assert read(file, f"Types.Py-YAML==1 --hash=sha256:{A}\n")[0].name == "types_py_yaml"


def test_extras_are_sorted(file: Path) -> None:
    assert read(file, f"one[b,a]==1 --hash=sha256:{A}\n")[0].extras == ("a", "b")


def test_a_pin_knows_its_line(file: Path) -> None:
    text = f"# comment\n\none==1 \\\n  --hash=sha256:{A}\ntwo==2 --hash=sha256:{B}\n"
    assert [pin.line for pin in read(file, text)] == [3, 5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("one==1\n", r"lock\.txt:1: one==1: no hash"),
        (f"\none>=1 --hash=sha256:{A}\n", r"lock\.txt:2: 'one>=1'; expected NAME==VERSION"),
        (f"one==1.* --hash=sha256:{A}\n", r"lock\.txt:1: 'one==1\.\*'; expected NAME==VERSION"),
        (f"one==1,<2 --hash=sha256:{A}\n", r"lock\.txt:1: .* expected NAME==VERSION"),
        (f"one @ file:///one.whl --hash=sha256:{A}\n", r"lock\.txt:1: .* expected NAME==VERSION"),
        ("one==1 --hash=sha256:12\n", r"lock\.txt:1: .*sha256:12; expected .* 64 hexadecimal"),
        ("one==1 --hash=md5:12\n", r"lock\.txt:1: .*md5:12; expected sha256"),
        ("one==1 --no-binary\n", r"lock\.txt:1: .*'--no-binary'; expected --hash"),
        ("<<<<<<< HEAD\n", r"lock\.txt:1: '<<<<<<< HEAD' is not a requirement"),
        ("--index-url file:///x\n", r"lock\.txt:1: '--index-url file:///x' has no place"),
        ("one==1 \\\n", r"lock\.txt:1: one==1: no hash"),
        ("one==1 ; os = 'x'\n", r"lock\.txt:1: .* is not a requirement"),
    ],
)
def test_nonsense_is_an_error_that_names_file_and_line(file: Path, text: str, message: str) -> None:
    with pytest.raises(LockError, match=f"^{message}"):
        read(file, text)


def test_a_missing_file_is_an_error(file: Path) -> None:
    with pytest.raises(LockError, match=r"^lock\.txt cannot be read"):
        wheels.read(file, "lock.txt")


def test_the_repositorys_own_lock_can_be_read() -> None:
    pins = wheels.read(Path("requirements_lock.txt"), "requirements_lock.txt")
    assert "fastapi" in {pin.name for pin in pins}
