"""Each version in CHANGELOG.md tells its digest, and what is not released how to get it."""

import os
import re
from pathlib import Path

PAGE = Path(os.environ["SOURCES"]).parent / "CHANGELOG.md"
COMMAND = "tools/bazel build //image:index.digest && cat bazel-bin/image/index.json.sha256"
NAME = re.compile(r"Unreleased|\S+ \(\d{4}-\d\d-\d\d\)")
DIGEST = re.compile(r"Digest: sha256:[0-9a-f]{64}")


def faults(page: str) -> list[str]:
    """What is wrong with the versions of the page."""
    found = []
    for part in page.split("\n## ")[1:]:
        name, _, text = part.partition("\n")
        line = next((one for one in text.splitlines() if one.strip()), "")
        if not NAME.fullmatch(name):
            found.append(f"{name}: expected a heading like `1.2.0 (2030-01-31)`")
        elif name == "Unreleased":
            if not line.startswith("Digest: ") or COMMAND not in text:
                found.append(f"{name}: expected `Digest: ` and the command that tells it")
        elif not DIGEST.fullmatch(line):
            found.append(f"{name}: expected `Digest: sha256:...` as its first line, got {line!r}")
    return found


def test_every_version_tells_its_digest() -> None:
    page = PAGE.read_text()
    assert "\n## Unreleased\n" in page
    assert faults(page) == []


def test_versions_without_one_are_named() -> None:
    digest = f"Digest: sha256:{'0' * 64}"
    page = f"# C\n\n## Unreleased\n\nx\n\n## 2 (2030-01-01)\n\n{digest}\n"
    page += "\n## 1 (2029-01-01)\n\n- x\n"
    assert [line.split(":")[0] for line in faults(page)] == ["Unreleased", "1 (2029-01-01)"]
    assert [line.split(":")[0] for line in faults("# C\n\n## Next\n")] == ["Next"]
