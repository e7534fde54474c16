"""Of a lock, what holds for the target is chosen."""

from pathlib import Path

import pytest

from tools.debian.modules.rules_python.wheels import command, lock
from tools.debian.modules.rules_python.wheels.error import WheelError
from tools.debian.modules.rules_python.wheels.target import Target
from tools.locks import wheels
from tools.locks.wheels import Pin

A, B = "a" * 64, "b" * 64
X86, ARM = (Target.of(f"linux_{cpu}", "3.13") for cpu in ("x86_64", "aarch64"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lock.txt"


def read(file: Path, text: str) -> list[Pin]:
    file.write_text(text)
    return wheels.read(file, "lock.txt")


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


def test_the_repositorys_own_lock_can_be_read() -> None:
    pins = wheels.read(Path("requirements_lock.txt"), "requirements_lock.txt")
    assert "fastapi" in lock.chosen(pins, X86, "requirements_lock.txt")


def test_a_lock_with_a_conflict_in_it_is_taken_from_a_commit(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("<<<<<<< HEAD\na==1\n")

    assert command.main(["list", "--lock", str(file), "a/lock.txt", "3.13", "linux_x86_64"]) == 1

    said = capsys.readouterr().err
    assert said.startswith("a/lock.txt:1: '<<<<<<< HEAD' is not a requirement")
    assert "`git checkout HEAD -- a/lock.txt`" in said
