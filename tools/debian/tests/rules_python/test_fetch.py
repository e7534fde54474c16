"""The program as the repository rules call it, with a real pip and an index of plain files."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tools.debian.tests.rules_python import wheel

# Repository rules run under this one too.
PYTHON = "/usr/bin/python3"
PROGRAM = Path("tools/debian/modules/rules_python/wheels/__main__.py").absolute()
SUFFIX = {
    "linux_x86_64": "cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64",
    "linux_aarch64": "cp313-cp313-manylinux_2_17_aarch64.manylinux2014_aarch64",
}


@pytest.fixture(scope="module", autouse=True)
def _needs_pip() -> None:
    found = subprocess.run(
        [PYTHON, "-I", "-c", "import packaging, pip"], capture_output=True, text=True, check=False
    )
    if found.returncode:
        pytest.fail(f"{PYTHON} has no pip. On Debian: apt-get install python3-pip")


class Machine:
    """A person's machine: their pip settings, an index, and the folder of a repository."""

    def __init__(self, folder: Path) -> None:
        self.links = folder / "links"
        self.links.mkdir()
        self.repository = folder / "repository"
        self.repository.mkdir()
        self.store = folder / "store"
        self.settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.links)}

    def fetch(
        self, platform: str, *hashes: str, version: str = "1.0"
    ) -> subprocess.CompletedProcess[str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("PIP_")
        }
        command = [PYTHON, "-I", "-B", str(PROGRAM), "fetch", "--python=3.13", "--hub=hub"]
        command += [f"--platform={platform}", "--name=one", f"--version={version}"]
        command += [f"--store={self.store}", *(f"--sha256={value}" for value in hashes)]
        return subprocess.run(
            command,
            cwd=self.repository,
            env=inherited | {"PIP_CONFIG_FILE": os.devnull} | self.settings,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("platform", SUFFIX)
def test_the_wheel_for_the_platform_is_chosen_on_any_machine(
    machine: Machine, platform: str
) -> None:
    wheels = {
        each: wheel.make(machine.links, f"one-1.0-{suffix}.whl", **{f"{each}.so": each})
        for each, suffix in SUFFIX.items()
    }
    done = machine.fetch(platform, *map(sha256, wheels.values()))
    assert done.returncode == 0, done.stderr
    assert (machine.repository / f"site-packages/{platform}.so").read_text() == platform
    assert (machine.repository / "BUILD.bazel").exists()


def test_of_two_wheels_the_one_for_the_older_c_library_is_chosen(machine: Machine) -> None:
    names = ["one-1.0-cp313-cp313-manylinux_2_17_x86_64.whl"]
    names += ["one-1.0-cp313-cp313-manylinux_2_28_x86_64.whl"]
    paths = [wheel.make(machine.links, name, **{f"{name}.txt": ""}) for name in names]
    done = machine.fetch("linux_x86_64", *map(sha256, paths))
    assert done.returncode == 0, done.stderr
    assert (machine.repository / f"site-packages/{names[0]}.txt").exists()


@pytest.mark.parametrize(
    ("chosen", "other"),
    [
        ("cp37-abi3-manylinux_2_5_x86_64", "cp313-cp313-manylinux_2_17_x86_64"),
        ("cp313-cp313-manylinux_2_17_x86_64", "cp37-abi3-manylinux_2_17_x86_64"),
    ],
)
def test_the_platform_is_weighed_before_interpreter_and_abi(
    machine: Machine, chosen: str, other: str
) -> None:
    paths = [
        wheel.make(machine.links, f"one-1.0-{tags}.whl", **{f"{tags}.txt": ""})
        for tags in (other, chosen)
    ]
    done = machine.fetch("linux_x86_64", *map(sha256, paths))
    assert done.returncode == 0, done.stderr
    assert (machine.repository / f"site-packages/{chosen}.txt").exists()


def test_a_wrong_hash_names_package_expected_actual_and_source_and_leaves_nothing(
    machine: Machine,
) -> None:
    path = wheel.make(machine.links, "one-1.0-py3-none-any.whl")
    done = machine.fetch("linux_x86_64", "0" * 64)
    assert done.returncode == 1
    assert "one==1.0: wrong sha256" in done.stderr
    assert f"expected {'0' * 64}" in done.stderr
    assert f"actual   {sha256(path)}" in done.stderr
    assert path.name in done.stderr
    assert not list(machine.repository.iterdir())


def test_a_wheel_that_is_missing_for_a_cpu_names_it_and_what_there_is(machine: Machine) -> None:
    name = f"one-1.0-{SUFFIX['linux_x86_64']}.whl"
    path = wheel.make(machine.links, name)
    wheel.make(machine.links, "one-2.0-py3-none-any.whl")
    done = machine.fetch("linux_aarch64", sha256(path))
    assert done.returncode == 1
    assert "one==1.0: no wheel for CPython 3.13 on linux_aarch64" in done.stderr
    assert name in done.stderr
    assert "one-2.0" not in done.stderr


def test_no_index_that_answers_names_what_was_tried_and_how_to_set_one(machine: Machine) -> None:
    machine.settings = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "2"}
    done = machine.fetch("linux_x86_64", "0" * 64)
    assert done.returncode == 1
    assert "no Python index that answers has it" in done.stderr
    assert "Tried: http://127.0.0.1:9/simple" in done.stderr
    # Three tries, one line.
    assert done.stderr.count("Connection refused") == 1
    assert "pip config set global.index-url" in done.stderr


def test_settings_that_would_choose_other_files_are_not_heeded(
    machine: Machine, tmp_path: Path
) -> None:
    path = wheel.make(machine.links, "one-1.0-py3-none-any.whl")
    constraint = tmp_path / "constraint.txt"
    constraint.write_text("one==2.0\n")
    machine.settings |= {
        "PIP_CONSTRAINT": str(constraint),
        "PIP_NO_BINARY": ":all:",
        "PIP_PLATFORM": "win_amd64",
        "PIP_REQUIRE_VIRTUALENV": "1",
    }
    done = machine.fetch("linux_x86_64", sha256(path))
    assert done.returncode == 0, done.stderr


def test_a_wheel_for_any_platform_serves_and_needs_no_index_again(machine: Machine) -> None:
    path = wheel.make(machine.links, "one-1.0-py3-none-any.whl")
    done = machine.fetch("linux_aarch64", value := sha256(path))
    assert done.returncode == 0, done.stderr
    path.unlink()
    for file in sorted(machine.repository.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    done = machine.fetch("linux_aarch64", value)
    assert done.returncode == 0, done.stderr
