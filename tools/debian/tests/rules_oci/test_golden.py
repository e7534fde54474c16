"""The images are, byte for byte, those of the real rules_oci."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent
GOLDEN: dict[str, dict[str, str]] = json.loads((FOLDER / "golden.json").read_text())


def document(layout: Path, digest: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())
    return content


def reachable(layout: Path) -> set[str]:
    """The digests of all blobs that index.json leads to."""
    found = set()
    todo = json.loads((layout / "index.json").read_text())["manifests"]
    while todo:
        descriptor = todo.pop()
        found.add(descriptor["digest"])
        if descriptor["mediaType"].endswith(("index.v1+json", "manifest.v1+json", "v2+json")):
            content = document(layout, descriptor["digest"])
            todo += content.get("manifests", []) + content.get("layers", [])
            todo += [content["config"]] if "config" in content else []
    return found


@pytest.mark.parametrize("name", GOLDEN)
def test_image_has_the_digest_that_the_original_gives_it(name: str) -> None:
    index = json.loads((FOLDER / name / "index.json").read_text())

    assert index["manifests"][0]["digest"] == GOLDEN[name]["digest"]


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("file", ["index.json", "oci-layout"])
def test_layout_files_have_the_bytes_that_the_original_writes(name: str, file: str) -> None:
    content = (FOLDER / name / file).read_bytes()

    assert hashlib.sha256(content).hexdigest() == GOLDEN[name][file]


@pytest.mark.parametrize("name", GOLDEN)
def test_digest_target_holds_the_digest_on_a_line(name: str) -> None:
    assert (FOLDER / f"{name}.json.sha256").read_text() == f"{GOLDEN[name]['digest']}\n"


@pytest.mark.parametrize("name", GOLDEN)
def test_every_blob_that_the_image_needs_is_there_with_its_digest(name: str) -> None:
    layout = FOLDER / name

    for digest in reachable(layout):
        content = (layout / "blobs" / digest.replace(":", "/")).read_bytes()
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digest
