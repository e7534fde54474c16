from pathlib import Path

import pytest

from tools.debian.modules.rules_python.wheels import lock
from tools.debian.modules.rules_python.wheels.error import WheelError
from tools.debian.modules.rules_python.wheels.lock import Pin
from tools.debian.modules.rules_python.wheels.target import Target

A, B = "a" * 64, "b" * 64
X86, ARM = (Target.of(f"linux_{cpu}", "3.13") for cpu in ("x86_64", "aarch64"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lock.txt"


def read(file: Path, text: str) -> list[Pin]:
    file.write_text(text)
    return lock.read(file, "lock.txt")


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


def test_a_marker_is_evaluated_for_the_target(file: Path) -> None:
    pins = read(file, f"one==1 ; platform_machine == 'aarch64' --hash=sha256:{A}\n")
    assert list(lock.chosen(pins, ARM, "lock.txt")) == ["one"]
    assert not lock.chosen(pins, X86, "lock.txt")


def test_a_package_may_have_a_version_for_each_target(file: Path) -> None:
    pins = read(
        file,
        f"one==1 ; platform_machine == 'aarch64' --hash=sha256:{A}\n"
        f"one==2 ; platform_machine != 'aarch64' --hash=sha256:{B}\n",
    )
    assert lock.chosen(pins, ARM, "lock.txt")["one"].version == "1"
    assert lock.chosen(pins, X86, "lock.txt")["one"].version == "2"


def test_two_versions_for_one_target_are_an_error_that_names_both_lines(file: Path) -> None:
    pins = read(file, f"one==1 --hash=sha256:{A}\none==2 --hash=sha256:{B}\n")
    with pytest.raises(WheelError, match=r"^lock\.txt:2: one==2 and, on line 1, one==1 both"):
        lock.chosen(pins, X86, "lock.txt")


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
    with pytest.raises(WheelError, match=f"^{message}"):
        read(file, text)


def test_a_missing_file_is_an_error(file: Path) -> None:
    with pytest.raises(WheelError, match=r"^lock\.txt cannot be read"):
        lock.read(file, "lock.txt")


def test_the_repositorys_own_lock_can_be_read() -> None:
    pins = lock.read(Path("requirements_lock.txt"), "requirements_lock.txt")
    assert "fastapi" in lock.chosen(pins, X86, "requirements_lock.txt")
