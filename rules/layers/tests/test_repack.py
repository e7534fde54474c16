"""A layer that is packed otherwise is the same archive, in bytes that are the same everywhere."""

import hashlib
import json
from pathlib import Path

import pytest
from backports import zstd

from rules.layers import repack, tarball
from rules.layers.part import Part, pack
from rules.layers.tests.test_tarball import PART, TEXT, tree


def made(folder: Path, *parts: Part) -> tuple[Path, Path]:
    descriptor, _ = tarball.write(tree(TEXT), folder / "l.tar.gz", parts)
    (folder / "l.json").write_text(json.dumps(descriptor._asdict()))
    return folder / "l.tar.gz", folder / "l.json"


@pytest.mark.parametrize("parts", [(), (pack(PART),)], ids=["one member", "members"])
def test_the_archive_stays_and_the_descriptor_follows(
    parts: tuple[Part, ...], tmp_path: Path
) -> None:
    layer, known = made(tmp_path, *parts)
    output, descriptor = tmp_path / "l.tar.zst", tmp_path / "new.json"

    repack.repack(layer, known, output, descriptor)

    packed, said = output.read_bytes(), json.loads(descriptor.read_bytes())
    assert said == {
        "digest": f"sha256:{hashlib.sha256(packed).hexdigest()}",
        "diffid": json.loads(known.read_bytes())["diffid"],
        "size": len(packed),
        "compression": "zstd",
    }
    plain = hashlib.sha256(zstd.decompress(packed)).hexdigest()
    assert said["diffid"] == f"sha256:{plain}"


def test_a_layer_has_the_bytes_that_it_has_everywhere() -> None:
    """Another version of the compressor changes every digest: that has to be meant."""
    assert hashlib.sha256(repack.packed(TEXT)).hexdigest() == (
        "6076edd76c88d291200e529cd833626bf0456b750f53f792ab381eaa64e97028"
    )


def test_a_layer_that_is_not_the_described_one_is_refused(tmp_path: Path) -> None:
    layer, known = made(tmp_path)
    known.write_text(json.dumps({"diffid": "sha256:0"}))

    with pytest.raises(ValueError, match="expected diff ID sha256:0, got sha256:"):
        repack.repack(layer, known, tmp_path / "l.tar.zst", tmp_path / "new.json")

    assert not (tmp_path / "l.tar.zst").exists()
