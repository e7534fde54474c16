"""Which files name the service of //image: its own, and the few where services meet."""

import os
import re
from pathlib import Path

SOURCES = Path(os.environ["SOURCES"]).parent

# What one would write who means that service and no other.
NAMES = re.compile(
    r"todo|//backend\b|\bfrom backend\b|\bimport backend\b|-m[\", ]+backend\b|/app/backend/",
    re.IGNORECASE,
)

# Its own folders, its tests and its part of deploy/ among them.
OWN = (
    "backend/",
    "deploy/examples/",
    "deploy/kubernetes/overlays/",
    "tests/edge/",
)
# Its own files in folders that it shares. docs/your-service.md says what becomes of them.
OWN_FILES: set[str] = {
    "bench/BUILD.bazel",
    "bench/load.py",
    "deploy/compose.yaml",
}
# Pages that describe it; whoever puts another in its place writes their own.
PAGES: set[str] = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "docs/configuration.md",
    "docs/database.md",
    "docs/deployment.md",
    "docs/development.md",
    "docs/extend.md",
    "docs/index.md",
    "docs/metrics.md",
    "docs/operate.md",
    "docs/performance.md",
    "docs/problems.md",
    "docs/security.md",
    "docs/tests/BUILD.bazel",
    "docs/troubleshoot.md",
    "docs/websocket.md",
    "docs/your-service.md",
}
# Where services meet: the edits of docs/your-service.md.
SHARED: set[str] = {
    "BUILD.bazel",
    "deploy/BUILD.bazel",
    "image/BUILD.bazel",
}
# What the rooms below every service are tried with is an example.
UNIT_TESTS = re.compile(r"(rules|image|tools|serving|deploy)/(.*/)?tests/")
# They take it as an example too, or have its name for the whole project; another changes nothing.
EXAMPLES: set[str] = {
    "MODULE.bazel",
    "docs/offline.md",
    "docs/reproducibility.md",
    "tests/machine/tests/test_kernel_log.py",
}


def naming() -> set[str]:
    """The files that name the service, by their paths in the workspace."""
    found = set()
    for file in sorted(SOURCES.rglob("*")):
        name = file.relative_to(SOURCES).as_posix().removesuffix(".starlark").removesuffix(".shell")
        if file.is_file() and NAMES.search(file.read_text()):
            found.add(name)
    return {name for name in found if not name.startswith(OWN) and not UNIT_TESTS.match(name)}


def test_only_these_files_name_the_service() -> None:
    others = naming() - OWN_FILES - PAGES - SHARED - EXAMPLES

    assert others == set(), (
        f"{sorted(others)} name the service of //image. Take name, port, module and paths from the "
        "definition (`NAME.service`, docs/your-service.md); a file that is the service's own, or "
        "one that has to be edited to replace it, belongs in the lists of this test"
    )


def test_the_lists_name_no_file_that_does_not() -> None:
    stale = (OWN_FILES | PAGES | SHARED | EXAMPLES) - naming()

    assert stale == set(), f"take {sorted(stale)} out of the lists of this test"


def test_a_service_is_replaced_by_few_edits_outside_of_its_own_files() -> None:
    assert len(SHARED) <= 5
