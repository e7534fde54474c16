"""What a wheel needs, by its metadata, for the target and the lock's extras."""

from pathlib import Path

import pytest

from tools.debian.modules.rules_python.wheels import metadata
from tools.debian.modules.rules_python.wheels.error import WheelError
from tools.debian.modules.rules_python.wheels.metadata import Metadata
from tools.debian.modules.rules_python.wheels.target import Target

NONE: frozenset[str] = frozenset()
X86, ARM = (Target.of(f"linux_{cpu}", "3.13").markers() for cpu in ("x86_64", "aarch64"))


def described(tmp_path: Path, *requirements: str, extras: tuple[str, ...] = ()) -> Metadata:
    file = tmp_path / "METADATA"
    lines = ["Metadata-Version: 2.4", "Name: One", "Version: 1.0"]
    lines += [f"Provides-Extra: {extra}" for extra in extras]
    lines += [f"Requires-Dist: {requirement}" for requirement in requirements]
    file.write_text("\n".join(lines) + "\n\nRequires-Dist: not-a-header\n")
    return metadata.read(file)


def test_a_requirement_without_a_marker_is_needed(tmp_path: Path) -> None:
    assert metadata.needs(described(tmp_path, "Two.Three>=2"), NONE, X86) == {"two_three": NONE}


def test_markers_decide_by_target(tmp_path: Path) -> None:
    one = described(tmp_path, "two; platform_machine == 'x86_64'", "three; os_name == 'nt'")
    assert list(metadata.needs(one, NONE, X86)) == ["two"]
    assert not metadata.needs(one, NONE, ARM)


def test_an_extra_brings_what_it_names(tmp_path: Path) -> None:
    one = described(tmp_path, "two; extra == 'Fast-er'", extras=("Fast_er",))
    assert one.extras == ("fast-er",)
    assert not metadata.needs(one, NONE, X86)
    assert list(metadata.needs(one, frozenset({"fast-er"}), X86)) == ["two"]


def test_extras_of_what_is_needed_are_kept(tmp_path: Path) -> None:
    one = described(tmp_path, "two[c]", "two[b]; os_name == 'posix'", "two[a]; os_name == 'nt'")
    assert metadata.needs(one, NONE, X86) == {"two": frozenset({"b", "c"})}


def test_an_extra_may_ask_for_other_extras_of_its_own_package(tmp_path: Path) -> None:
    one = described(
        tmp_path,
        "two; extra == 'a'",
        "one[a]; extra == 'b'",
        "One[b]; extra == 'all'",
        extras=("a", "b", "all"),
    )
    assert metadata.needs(one, frozenset({"all"}), X86) == {"two": NONE}


def test_without_a_name_it_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "METADATA"
    file.write_text("Metadata-Version: 2.4\nVersion: 1\n")
    with pytest.raises(WheelError, match="no 'name' in it"):
        metadata.read(file)


def test_a_requirement_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WheelError, match="METADATA: "):
        described(tmp_path, "two three")
