"""An image is what its BUILD file expects of it."""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.oci import layout
from tests.oci.filesystem import Filesystem
from tests.oci.layout import Image
from tests.structure import checks, libraries


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(os.environ["EXPECTED"]).read_text())
    if "SERVICE" in os.environ:
        content |= _expected_of_service(json.loads(Path(os.environ["SERVICE"]).read_text()))
    return content


def _expected_of_service(definition: dict[str, Any]) -> dict[str, Any]:
    return {
        "entrypoint": definition["entrypoint"],
        "environment": definition["environment"],
        "labels_exactly": definition["labels"],
        "port": f"{definition['port']}/tcp",
        "user": f"{definition['uid']}:{definition['gid']}",
    }


@pytest.fixture(scope="module")
def image(expected: dict[str, Any]) -> Image:
    return layout.read(Path(os.environ["IMAGE"]), expected["platform"])


@pytest.fixture(scope="module")
def files(image: Image) -> Filesystem:
    return image.files


def none(problems: Iterable[str], remedy: str = "") -> None:
    found = list(problems)
    if found:
        pytest.fail("\n".join([*found, remedy]).rstrip(), pytrace=False)


def mine() -> str:
    """Where this test is declared: file and target."""
    target = os.environ.get("TEST_TARGET", "//PACKAGE:TEST").removeprefix("@@").removeprefix("@")
    package, _, name = target.removeprefix("//").partition(":")
    return f"{package}/BUILD.bazel ({name})"


def test_it_runs_as_a_numeric_user_who_is_not_root(image: Image) -> None:
    none(checks.user(image.configuration))


def test_its_entry_point_is_a_program_of_the_image(image: Image) -> None:
    none(checks.entrypoint(image))


def test_its_entry_point_is_as_expected(image: Image, expected: dict[str, Any]) -> None:
    assert image.configuration.entrypoint == expected["entrypoint"]
    assert image.configuration.command == []


def test_it_exposes_its_port_and_no_other(image: Image, expected: dict[str, Any]) -> None:
    assert image.configuration.exposed_ports == [expected["port"]]


def test_it_is_what_its_services_definition_says(image: Image, expected: dict[str, Any]) -> None:
    if "user" not in expected:
        return
    assert image.configuration.user == expected["user"]
    assert image.configuration.environment == expected["environment"]
    assert image.configuration.labels == expected["labels_exactly"]


def test_it_is_for_its_platform(image: Image, expected: dict[str, Any]) -> None:
    configuration = image.configuration
    assert f"{configuration.os}/{configuration.architecture}" == expected["platform"]


def test_it_has_its_labels(image: Image, expected: dict[str, Any]) -> None:
    labels = image.configuration.labels
    missing = [name for name in expected["labels"] if not labels.get(name)]
    assert missing == []


def test_no_program_gets_more_rights_than_its_caller(files: Filesystem) -> None:
    none(checks.privileged(files))


def test_nothing_is_writable(image: Image, files: Filesystem) -> None:
    none(checks.writable(files, image.configuration.user))


def test_there_are_files_directories_and_symbolic_links_only(files: Filesystem) -> None:
    none(checks.kinds(files))


def test_there_is_no_shell(files: Filesystem, expected: dict[str, Any]) -> None:
    none(checks.shells(files, expected["shells"]))


def test_there_is_no_package_manager(files: Filesystem) -> None:
    none(checks.package_managers(files))


def test_the_programs_are_those_expected(files: Filesystem, expected: dict[str, Any]) -> None:
    none(checks.programs(files, expected["programs"]))


def test_no_file_lies_outside_of_the_allowed_roots(
    files: Filesystem, expected: dict[str, Any]
) -> None:
    none(checks.outside(files, expected["roots"]))


def test_every_symbolic_link_resolves(files: Filesystem) -> None:
    none(checks.dangling(files))


def test_every_elf_file_finds_its_libraries(image: Image, files: Filesystem) -> None:
    configuration = image.configuration
    none(
        libraries.problems(files, configuration.architecture, configuration.environment),
        "A library that is missing is in a Debian package: add that to a group of "
        "image/packages.toml, then `tools/bazel run //rules/debian:update -- NAME`. docs/extend.md",
    )


def test_no_elf_file_of_a_wheel_has_symbols_for_debuggers(files: Filesystem) -> None:
    none(checks.symbols(files))


def test_every_python_source_has_its_byte_code(files: Filesystem) -> None:
    version = f"/usr/lib/python{sys.version_info.major}.{sys.version_info.minor}/os.py"
    if any(entry.path.endswith(".py") for entry in files):
        assert files.get(version), f"the image's Python is not {sys.version}, which runs this test"
    none(checks.bytecode(files))


def test_no_file_is_in_two_layers(image: Image) -> None:
    none(checks.duplicates(image.layers))


def test_no_package_of_python_is_in_two_layers(image: Image) -> None:
    none(checks.split_packages(image.layers, image.configuration.environment))


def test_everything_is_roots_and_has_no_time(files: Filesystem) -> None:
    none(checks.owners(files))


def test_scanners_find_the_debian_packages(files: Filesystem, expected: dict[str, Any]) -> None:
    none(
        checks.debian_packages(files, expected["debian_packages"]),
        "What is meant to be in every service's image stands in BASE_PACKAGES of "
        f"tests/structure/defs.bzl; what this image alone has, in debian_packages of {mine()}. "
        "What is not meant: take it out of its group in image/packages.toml. docs/extend.md",
    )


def test_the_python_packages_are_those_of_production(
    files: Filesystem, expected: dict[str, Any]
) -> None:
    locked = checks.locked_versions(Path(os.environ["LOCK"]).read_text())
    none(
        checks.python_packages(files, locked, expected["python_packages"]),
        f"What is meant to be in the image stands in python_packages of {mine()}. What is not: "
        "`tools/bazel query 'somepath(LIBRARY, @pypi//NAME)'` says who asks for it. docs/extend.md",
    )


def test_there_are_no_packages_for_development(files: Filesystem, expected: dict[str, Any]) -> None:
    none(checks.python_modules(files, expected["development"]))


def test_each_layer_keeps_within_its_budget(image: Image, expected: dict[str, Any]) -> None:
    budgets = {name: (sizes[0], sizes[1]) for name, sizes in expected["budgets"].items()}
    none(
        checks.budgets(image.layers, budgets),
        f"Budgets stand in {mine()}: of a service's wheels in packages_budget, of its own files in "
        "app_budget, of `debian` and others in budgets",
    )
