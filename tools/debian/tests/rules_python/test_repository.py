"""A wheel's repository has its files and a BUILD file that says what it needs."""

import hashlib
from pathlib import Path

import pytest

from tools.debian.modules.rules_python.wheels import repository
from tools.debian.modules.rules_python.wheels.error import WheelError
from tools.debian.modules.rules_python.wheels.index import Wanted
from tools.debian.modules.rules_python.wheels.store import Store
from tools.debian.modules.rules_python.wheels.target import Target
from tools.debian.tests.rules_python import wheel
from tools.locks.wheels import Pin

X86 = Target.of("linux_x86_64", "3.13")


class Given(Store):
    """A store that holds one wheel."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def wheel(self, wanted: Wanted) -> Path:
        return self.path


def build_file(tmp_path: Path, metadata: str, *, extras: tuple[str, ...] = ()) -> str:
    path = wheel.make(tmp_path, "one-1.0-py3-none-any.whl", metadata=metadata)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    pin = Pin("one", "1.0", extras, None, (digest,), 1)
    repository.make(pin, X86, "hub", Given(path), tmp_path / "repository")
    return (tmp_path / "repository/BUILD.bazel").read_text()


def test_dependencies_stand_in_the_build_file(tmp_path: Path) -> None:
    text = build_file(tmp_path, "Requires-Dist: two[c]>=2\nRequires-Dist: A-b\n")
    assert '    deps = {"a_b": [], "two": ["c"]},\n' in text


def test_the_wheels_hash_stands_in_the_build_file(tmp_path: Path) -> None:
    text = build_file(tmp_path, "")

    (made,) = tmp_path.glob("*.whl")
    assert f'    sha256 = "{hashlib.sha256(made.read_bytes()).hexdigest()}",\n' in text


def test_extras_of_the_lock_are_part_of_the_package(tmp_path: Path) -> None:
    metadata = "Provides-Extra: x\nRequires-Dist: two; extra == 'x'\n"
    text = build_file(tmp_path, metadata, extras=("x",))
    assert '    deps = {"two": []},\n    extras = {},\n' in text


def test_other_extras_can_be_asked_for_by_packages(tmp_path: Path) -> None:
    metadata = "Provides-Extra: x\nRequires-Dist: three\nRequires-Dist: two; extra == 'x'\n"
    text = build_file(tmp_path, metadata)
    assert '    deps = {"three": []},\n    extras = {"x": {"two": []}},\n' in text


def test_a_wheel_of_another_version_is_an_error(tmp_path: Path) -> None:
    path = wheel.make(tmp_path, "one-1.0-py3-none-any.whl")
    with pytest.raises(WheelError, match=r"is of one 1\.0; expected one 2\.0"):
        repository.make(
            Pin("one", "2.0", (), None, ("",), 1), X86, "hub", Given(path), tmp_path / "repository"
        )
