"""The target is the machine that the image is for, not the one that fetches."""

import pytest

from tools.debian.modules.rules_python.wheels.error import WheelError
from tools.debian.modules.rules_python.wheels.target import Target


def tags(platform: str) -> list[str]:
    options = Target.of(platform, "3.13").pip_options()
    return [option.removeprefix("--platform=") for option in options if "--platform" in option]


def test_markers_are_those_of_the_target_whatever_runs_this() -> None:
    markers = Target.of("linux_aarch64", "3.13").markers()
    assert markers["platform_machine"] == "aarch64"
    assert markers["python_version"] == "3.13"
    assert markers["sys_platform"] == "linux"


def test_wheels_for_the_older_c_library_are_preferred() -> None:
    found = tags("linux_x86_64")
    assert found.index("manylinux_2_17_x86_64") < found.index("manylinux_2_28_x86_64")


def test_wheels_for_a_later_c_library_than_the_images_are_refused() -> None:
    assert "manylinux_2_41_x86_64" in tags("linux_x86_64")
    assert "manylinux_2_42_x86_64" not in tags("linux_x86_64")


def test_legacy_tags_count_as_the_c_library_they_stand_for() -> None:
    found = tags("linux_aarch64")
    assert found[:2] == ["manylinux_2_17_aarch64", "manylinux2014_aarch64"]


def test_wheels_for_this_version_are_preferred_to_those_for_any() -> None:
    options = Target.of("linux_x86_64", "3.13").pip_options()
    assert [option for option in options if "--abi" in option] == [
        "--abi=cp313",
        "--abi=abi3",
        "--abi=none",
    ]


@pytest.mark.parametrize("platform", ["osx_aarch64", "linux_riscv64", "x86_64"])
def test_another_platform_is_an_error_that_names_the_known_ones(platform: str) -> None:
    with pytest.raises(WheelError, match=r"linux_x86_64, linux_aarch64"):
        Target.of(platform, "3.13")


def test_a_version_that_is_none_is_an_error() -> None:
    with pytest.raises(WheelError, match=r"'three'; expected MAJOR\.MINOR"):
        Target.of("linux_x86_64", "three")
