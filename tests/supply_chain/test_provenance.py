"""The provenance names the images and the index that were built, and all they were made of."""

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from tools.locks import wheels

CPUS = ("amd64", "arm64")
FOLDER = Path(os.environ["IMAGE"])


def blob(digest: str) -> Any:
    return json.loads((FOLDER / "blobs" / digest.replace(":", "/")).read_bytes())


@cache
def statement() -> Any:
    return json.loads(Path(os.environ["PROVENANCE"]).read_bytes())


def definition() -> Any:
    return statement()["predicate"]["buildDefinition"]


def sha256(variable: str) -> str:
    return hashlib.sha256(Path(os.environ[variable]).read_bytes()).hexdigest()


def archives() -> dict[str, set[str]]:
    """The hashes of the archives among the dependencies, by the kind of their package URLs."""
    found: dict[str, set[str]] = {"deb": set(), "pypi": set()}
    for each in definition()["resolvedDependencies"]:
        if "uri" in each and each["uri"].startswith("pkg:"):
            found[each["uri"][4:].partition("/")[0]].add(each["digest"]["sha256"])
    return found


def test_it_is_an_in_toto_statement_with_slsa_provenance() -> None:
    assert statement()["_type"] == "https://in-toto.io/Statement/v1"
    assert statement()["predicateType"] == "https://slsa.dev/provenance/v1"
    assert definition()["buildType"].startswith("urn:")
    assert statement()["predicate"]["runDetails"]["builder"]["id"]


def test_its_subjects_are_the_index_and_both_manifests() -> None:
    (root,) = json.loads((FOLDER / "index.json").read_text())["manifests"]
    images = [each["digest"] for each in blob(root["digest"])["manifests"]]

    assert [f"sha256:{each['digest']['sha256']}" for each in statement()["subject"]] == [
        root["digest"],
        *images,
    ]


def test_it_names_the_target_that_was_built() -> None:
    assert definition()["externalParameters"]["target"].endswith(":index")


def test_every_debian_package_and_wheel_of_both_images_is_a_dependency() -> None:
    expected: dict[str, set[str]] = {"deb": set(), "pypi": set()}
    for cpu in CPUS:
        document = json.loads(Path(os.environ[f"SPDX_{cpu.upper()}"]).read_bytes())
        for package in document["packages"]:
            for reference in package.get("externalRefs", []):
                kind = reference["referenceLocator"][4:].partition("/")[0]
                if kind in expected:
                    expected[kind].add(package["checksums"][0]["checksumValue"])

    assert all(expected.values())
    assert archives() == expected


def test_the_archives_are_those_of_the_locks() -> None:
    debian = json.loads(Path(os.environ["DEBIAN_LOCK"]).read_text())["packages"]
    pins = wheels.read(Path(os.environ["WHEEL_LOCK"]), "the lock")

    assert archives()["deb"] <= {each["sha256"] for each in debian}
    assert archives()["pypi"] <= {value for pin in pins for value in pin.hashes}


def test_the_locks_are_dependencies_by_their_hashes() -> None:
    found = {each["name"]: each["digest"] for each in definition()["resolvedDependencies"]}

    assert found["image/lock.json"] == {"sha256": sha256("DEBIAN_LOCK")}
    assert found["requirements_lock.txt"] == {"sha256": sha256("WHEEL_LOCK")}


def test_the_sboms_are_byproducts() -> None:
    byproducts = {
        each["name"]: each["digest"]["sha256"]
        for each in statement()["predicate"]["runDetails"]["byproducts"]
    }

    assert byproducts == {
        f"sbom_{cpu}.{extension}.json": sha256(f"{kind}_{cpu.upper()}")
        for cpu in CPUS
        for kind, extension in [("SPDX", "spdx"), ("CYCLONEDX", "cdx")]
    }


def test_a_build_that_is_no_release_names_no_revision() -> None:
    names = [each["name"] for each in definition()["resolvedDependencies"]]

    assert definition()["externalParameters"]["options"] == []
    assert "sources" not in names
