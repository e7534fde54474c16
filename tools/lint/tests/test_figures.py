"""What pages say of sizes is what locks and the recipe say, and what other pages say."""

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

SOURCES = Path(os.environ["SOURCES"]).parent
README = " ".join((SOURCES / "README.md").read_text().split())
ARCHITECTURE = " ".join((SOURCES / "docs/architecture.md").read_text().split())
DEVELOPMENT = " ".join((SOURCES / "docs/development.md").read_text().split())
PERFORMANCE = (SOURCES / "docs/performance.md").read_text()
BUILDER = (SOURCES / "tools/debian/builder/root.py").read_text()
RECIPE: dict[str, Any] = tomllib.loads((SOURCES / "tools/debian/recipe.toml").read_text())
_MIB = 1.048576


def figure(pattern: str, text: str) -> float:
    """The number that a sentence has."""
    found = re.search(pattern, text)
    assert found, f"expected a sentence like {pattern}"
    return float(found[1])


def gigabytes(downloads: int, disk: int) -> tuple[float, float]:
    """MB of downloads and MiB of disk, in GB."""
    return round(downloads / 1000, 1), round(disk * _MIB / 1000, 1)


def megabytes(lock: str) -> float:
    """What a lock's packages for amd64 take to be fetched."""
    packages = json.loads((SOURCES / lock).read_text())["packages"]
    return float(sum(one["size"] for one in packages if one["architecture"] != "arm64") / 1e6)


def test_the_readme_tells_the_suite_of_the_builder_root_and_the_space_that_it_takes() -> None:
    assert f"Debian {RECIPE['suite']} with Bazel" in README
    free = figure(r"([\d.]+) GB have to be free while it is made", README)
    assert free == RECIPE["free_space"] / 1000
    more = figure(r"of disk more, with another ([\d.]+) GB free", README)
    assert more == RECIPE["free_space_tests"] / 1000


def test_the_readme_and_the_architecture_tell_the_same_of_the_builder_root() -> None:
    root = (
        r"A root for builds is (\d+) MB of downloads and (\d+) MiB on disk, "
        r"with what tests call (\d+) MB and (\d+) MiB"
    )
    found = re.search(root, ARCHITECTURE)
    assert found, f"docs/architecture.md: expected a sentence like {root}"
    downloads, disk, all_downloads, all_disk = map(int, found.groups())
    told = {
        "_SIZE": gigabytes(downloads, disk),
        "_SIZE_OF_TESTS": gigabytes(all_downloads - downloads, all_disk - disk),
        "_SIZE_WITH_TESTS": gigabytes(all_downloads, all_disk),
    }
    of_downloads, of_disk = told["_SIZE"]
    assert f"It takes {of_downloads} GB of downloads and {of_disk} GB of disk, once" in README
    of_downloads, of_disk = told["_SIZE_OF_TESTS"]
    assert f"{of_downloads} GB of downloads and {of_disk} GB of disk more" in README
    for name, (of_downloads, of_disk) in told.items():
        message = f'{name} = "{of_downloads} GB to download, {of_disk} GB on disk"'
        assert message in BUILDER, f"tools/debian/builder/root.py: expected {message}"


def test_pages_tell_what_locks_take() -> None:
    machine = figure(r"amd64 only, (\d+) MB of packages more", README)
    assert machine == round(megabytes("tests/machine/lock.json"))
    browser = figure(r"amd64 only, (\d+) MB of packages, fetched", DEVELOPMENT)
    assert browser == round(megabytes("tools/browser/lock.json"))


def test_the_image_is_as_large_as_its_layers() -> None:
    whole = figure(r"\| the image, compressed \| [^|]+ \| ([\d.]+) MB \|", PERFORMANCE)
    layers = re.findall(r"^\| `(?:base|python|packages|serving|app)` \| ([\d.]+) \|", PERFORMANCE,
                        re.MULTILINE)  # fmt: skip
    assert len(layers) == 5
    # Each is rounded by itself.
    assert abs(sum(map(float, layers)) - whole) < 0.3
    assert figure(r"Byte-code, [\d.]+ MB of ([\d.]+), ", PERFORMANCE) == whole
