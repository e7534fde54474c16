"""What the image says of itself is what its SBOM says."""

import os
from pathlib import Path

import pytest

from rules.diff import image
from rules.diff.store import open_store
from rules.report import inspection
from rules.scan import packages
from rules.update import image as described

INDEX = Path(os.environ["INDEX"])
SBOMS = dict(zip(("amd64", "arm64"), map(Path, os.environ["SBOMS"].split(" ")), strict=True))


@pytest.mark.parametrize("cpu", list(SBOMS))
def test_versions_licences_layers_and_files_agree_with_the_sbom(cpu: str, tmp_path: Path) -> None:
    store = open_store(
        str(INDEX.absolute()), tmp_path, tmp_path / "store", crane=None, insecure=False
    )
    found = inspection.Inspector(str(tmp_path)).read(
        inspection.images(image.read(store))[cpu], "it"
    )
    expected = described.read(INDEX, SBOMS)[cpu]

    assert found.image == expected
    assert {(each.subject, each.subject_version, each.release) for each in found.packages} == {
        (each.subject, each.subject_version, each.release)
        for each in packages.read([SBOMS[cpu]]).packages
    }
