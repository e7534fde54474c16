"""What the SBOMs say is what is in the image, and the formats' own programs accept them."""

import hashlib
import json
import os
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from ntia_conformance_checker.sbom_checker import SbomChecker
from packageurl import PackageURL
from spdx_tools.spdx.parser.json import json_parser
from spdx_tools.spdx.validation import spdx_id_validators
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from tests.oci import layout
from tests.oci.filesystem import FILE
from tests.oci.layout import Image
from tools.locks import wheels

CPUS = ("amd64", "arm64")
PURL = "purl"


@cache
def image(cpu: str) -> Image:
    return layout.read(Path(os.environ["IMAGE"]), f"linux/{cpu}")


@cache
def spdx(cpu: str) -> Any:
    return json.loads(Path(os.environ[f"SPDX_{cpu.upper()}"]).read_bytes())


@cache
def cyclonedx(cpu: str) -> Any:
    return json.loads(Path(os.environ[f"CYCLONEDX_{cpu.upper()}"]).read_bytes())


def purls(cpu: str) -> dict[str, PackageURL]:
    """The package URL of each package of the SPDX document, by identifier."""
    return {
        package["SPDXID"]: PackageURL.from_string(reference["referenceLocator"])
        for package in spdx(cpu)["packages"]
        for reference in package.get("externalRefs", [])
        if reference["referenceType"] == PURL
    }


def versions(cpu: str, kind: str) -> dict[str, str]:
    """Version by name of the image's own packages of a kind, as package URLs have them."""
    contained = {
        relation["relatedSpdxElement"]
        for relation in spdx(cpu)["relationships"]
        if relation["spdxElementId"] == "SPDXRef-Image"
    }
    return {
        purl.name: str(purl.version)
        for key, purl in purls(cpu).items()
        if purl.type == kind and key in contained
    }


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def field(text: str, name: str) -> str:
    return next(
        line.partition(":")[2].strip() for line in text.splitlines() if line.startswith(f"{name}:")
    )


def described(cpu: str) -> dict[str, str]:
    """The sha256 of each file of the SPDX document, by its path in the image."""
    return {
        file["fileName"].removeprefix("."): value["checksumValue"]
        for file in spdx(cpu)["files"]
        for value in file["checksums"]
        if value["algorithm"] == "SHA256"
    }


def relations(cpu: str, kind: str) -> list[tuple[str, str]]:
    return [
        (relation["spdxElementId"], relation["relatedSpdxElement"])
        for relation in spdx(cpu)["relationships"]
        if relation["relationshipType"] == kind
    ]


def test_spdx_tools_accepts_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    # One CPU: the other's document is made by the same lines.
    document = json_parser.parse_from_file(os.environ["SPDX_AMD64"])
    # For each reference to an element it lists all elements anew, which takes ten seconds.
    elements = frozenset(spdx_id_validators.get_list_of_all_spdx_ids(document))
    monkeypatch.setattr(spdx_id_validators, "get_list_of_all_spdx_ids", lambda _: elements)

    assert [each.validation_message for each in validate_full_spdx_document(document)] == []


@pytest.mark.filterwarnings("default")
def test_the_document_has_ntias_minimum_elements() -> None:
    checker = SbomChecker(os.environ["SPDX_AMD64"], validate=False)

    assert checker.ntia_minimum_elements_compliant


@pytest.mark.parametrize("cpu", CPUS)
def test_cyclonedx_schema_accepts_the_document(cpu: str) -> None:
    text = Path(os.environ[f"CYCLONEDX_{cpu.upper()}"]).read_text()

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


@pytest.mark.parametrize("cpu", CPUS)
def test_both_formats_name_the_image_by_its_manifest(cpu: str) -> None:
    (own,) = [purl for purl in purls(cpu).values() if purl.type == "oci"]
    component = cyclonedx(cpu)["metadata"]["component"]

    assert own.version == component["version"] == image(cpu).digest
    assert own.qualifiers["arch"] == cpu


@pytest.mark.parametrize("cpu", CPUS)
def test_every_file_of_the_image_is_described_with_its_hash(cpu: str) -> None:
    there = {
        entry.path: hashlib.sha256(entry.content).hexdigest()
        for entry in image(cpu).files
        if entry.kind == FILE
    }

    assert described(cpu) == there


@pytest.mark.parametrize("cpu", CPUS)
def test_every_file_belongs_to_one_package_and_every_package_has_a_file(cpu: str) -> None:
    files = {file["SPDXID"] for file in spdx(cpu)["files"]}
    owners = Counter(related for _, related in relations(cpu, "CONTAINS") if related in files)
    owning = {owner for owner, related in relations(cpu, "CONTAINS") if related in files}
    packages = {
        related for owner, related in relations(cpu, "CONTAINS") if owner == "SPDXRef-Image"
    }

    assert set(owners.values()) == {1}
    assert owners.keys() == files
    assert owning == packages


@pytest.mark.parametrize("cpu", CPUS)
def test_byte_code_is_generated_from_its_source(cpu: str) -> None:
    paths = {file["SPDXID"]: file["fileName"] for file in spdx(cpu)["files"]}
    made = {paths[made]: paths.get(of, of) for made, of in relations(cpu, "GENERATED_FROM")}
    compiled = [path for path in paths.values() if path.endswith(".pyc")]

    assert compiled
    for path in compiled:
        folder, _, name = path.rpartition("/__pycache__/")
        assert made[path] == f"{folder}/{name.partition('.')[0]}.py"


@pytest.mark.parametrize("cpu", CPUS)
def test_scanners_that_read_the_image_find_the_same_debian_packages(cpu: str) -> None:
    found = {}
    for entry in image(cpu).files:
        if entry.path.startswith("/var/lib/dpkg/status.d/") and not entry.path.endswith("sums"):
            text = entry.content.decode()
            found[field(text, "Package")] = field(text, "Version")

    assert versions(cpu, "deb") == found


@pytest.mark.parametrize("cpu", CPUS)
def test_scanners_that_read_the_image_find_the_same_wheels(cpu: str) -> None:
    found = {}
    for entry in image(cpu).files:
        if entry.path.endswith(".dist-info/METADATA"):
            text = entry.content.decode()
            found[normal(field(text, "Name"))] = field(text, "Version")

    assert found
    assert versions(cpu, "pypi") == found


@pytest.mark.parametrize("cpu", CPUS)
def test_archives_are_those_of_the_locks(cpu: str) -> None:
    debian = {
        entry["name"]: {entry["sha256"]}
        for entry in json.loads(Path(os.environ["DEBIAN_LOCK"]).read_text())["packages"]
        if entry["architecture"] in {cpu, "all"}
    }
    python = {
        pin.name.replace("_", "-"): set(pin.hashes)
        for pin in wheels.read(Path(os.environ["WHEEL_LOCK"]), "the lock")
    }
    locked = {"deb": debian, "pypi": python}
    names = purls(cpu)

    for package in spdx(cpu)["packages"]:
        purl = names.get(package["SPDXID"])
        if purl and purl.type in locked:
            (checksum,) = package["checksums"]
            assert checksum["checksumValue"] in locked[purl.type][purl.name], package["name"]


@pytest.mark.parametrize("cpu", CPUS)
def test_every_package_declares_a_licence(cpu: str) -> None:
    image_itself = {"SPDXRef-Image"}

    assert {
        package["SPDXID"]
        for package in spdx(cpu)["packages"]
        if package["licenseDeclared"] == "NOASSERTION"
    } == image_itself


@pytest.mark.parametrize("cpu", CPUS)
def test_both_formats_name_the_same_packages(cpu: str) -> None:
    def flat(components: list[Any]) -> list[Any]:
        return [each for one in components for each in (one, *flat(one.get("components", [])))]

    named = Counter(each["purl"] for each in flat(cyclonedx(cpu)["components"]) if "purl" in each)
    expected = Counter(purl.to_string() for purl in purls(cpu).values() if purl.type != "oci")

    assert named == expected


@pytest.mark.parametrize("cpu", CPUS)
def test_both_formats_give_a_package_the_same_files(cpu: str) -> None:
    paths = {file["SPDXID"]: file["fileName"].removeprefix(".") for file in spdx(cpu)["files"]}
    names = purls(cpu)
    expected: dict[str, set[str]] = {}
    for owner, related in relations(cpu, "CONTAINS"):
        if related in paths:
            key = names[owner].to_string() if owner in names else "sources"
            expected.setdefault(key, set()).add(paths[related])

    assert {
        component["bom-ref"]: {each["location"] for each in component["evidence"]["occurrences"]}
        for component in cyclonedx(cpu)["components"]
    } == expected
