"""Advisories about each package of an image hit, and their neighbours miss."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from rules.scan import packages
from rules.scan.__main__ import CLEAN, FOUND, main
from rules.scan.packages import Package

SBOMS = [Path(file) for file in os.environ["SBOMS"].split(" ")]
CONTENTS = packages.read(SBOMS)
NOW = "2026-11-27T12:00:00+00:00"


def advisory(package: Package, number: int, **event: str) -> dict[str, Any]:
    release = f":{package.release}" if package.release else ""
    return {
        "id": f"TEST-{number}",
        "modified": "2026-11-26T12:00:00Z",
        "affected": [
            {
                "package": {
                    "ecosystem": f"{package.ecosystem}{release}",
                    "name": package.subject,
                },
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, event]}],
            }
        ],
    }


def scan(tmp_path: Path, *advisories: dict[str, Any]) -> tuple[int, Any]:
    folder = tmp_path / "advisories"
    folder.mkdir()
    for each in advisories:
        (folder / f"{each['id']}.json").write_text(json.dumps(each))
    code = main(
        [
            *(f"--sbom={file.absolute()}" for file in SBOMS),
            *("--name=image", f"--advisories={folder}", f"--now={NOW}"),
            *("--format=json", f"--output={tmp_path / 'result.json'}"),
        ]
    )
    return code, json.loads((tmp_path / "result.json").read_text())


def later(version: str) -> str:
    """A version that is a little newer, in either ecosystem."""
    return f"{version}.post1" if "+" not in version and "-" not in version else f"{version}+1"


def test_the_image_has_packages_of_both_ecosystems() -> None:
    assert {package.ecosystem for package in CONTENTS.packages} == {"Debian", "PyPI"}


def test_every_package_is_hit_by_an_advisory_whose_fix_is_a_little_newer(tmp_path: Path) -> None:
    advisories = [
        advisory(package, number, fixed=later(package.subject_version))
        for number, package in enumerate(CONTENTS.packages)
    ]

    code, result = scan(tmp_path, *advisories)

    hit = {finding["purl"] for finding in result["findings"]}
    assert code == FOUND
    assert hit == {package.purl for package in CONTENTS.packages}


def test_no_package_is_hit_by_an_advisory_that_is_fixed_in_it(tmp_path: Path) -> None:
    advisories = [
        advisory(package, number, fixed=package.subject_version)
        for number, package in enumerate(CONTENTS.packages)
    ]

    code, result = scan(tmp_path, *advisories)

    assert (code, result["findings"]) == (CLEAN, [])
    assert result["advisories"]["count"] == len(advisories)


@pytest.mark.parametrize("ecosystem", ["npm", "Debian:1", "crates.io"])
def test_an_advisory_of_another_ecosystem_or_release_hits_nothing(
    tmp_path: Path, ecosystem: str
) -> None:
    package = next(each for each in CONTENTS.packages if each.ecosystem == "Debian")
    other = advisory(package, 1, fixed=later(package.subject_version))
    other["affected"][0]["package"]["ecosystem"] = ecosystem

    assert scan(tmp_path, other)[0] == CLEAN
