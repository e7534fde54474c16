"""A layer is described by its bytes, not by its name."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from tools.debian.modules.rules_oci.oci.private import descriptor
from tools.debian.tests.rules_oci import archive

CONTENT = archive.tar("etc/hello", b"hello")


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def written(folder: Path, content: bytes) -> Path:
    path = folder / "layer.tar"
    path.write_bytes(content)
    return path


def test_plain_archive_has_one_digest_for_both(tmp_path: Path) -> None:
    path = written(tmp_path, CONTENT)

    assert descriptor.describe(path, "/none") == {
        "digest": digest(CONTENT),
        "diffid": digest(CONTENT),
        "size": len(CONTENT),
        "compression": "",
    }


def test_gzip_archive_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    packed = archive.gzip(CONTENT)
    path = written(tmp_path, packed)

    assert descriptor.describe(path, "/none") == {
        "digest": digest(packed),
        "diffid": digest(CONTENT),
        "size": len(packed),
        "compression": "gzip",
    }


@pytest.mark.parametrize("chunk", [1, 100, 1 << 16])
def test_gzip_members_that_follow_one_another_are_one_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(descriptor, "_CHUNK", chunk)
    path = written(tmp_path, archive.gzip(CONTENT[:700]) + archive.gzip(CONTENT[700:]))

    assert descriptor.describe(path, "/none")["diffid"] == digest(CONTENT)


def test_gzip_archive_cut_short_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, archive.gzip(CONTENT)[:-5])

    with pytest.raises(descriptor.ArchiveError, match="ends too early"):
        descriptor.describe(path, "/none")


def test_gzip_archive_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    packed = bytearray(archive.gzip(CONTENT))
    packed[-8] ^= 1
    path = written(tmp_path, bytes(packed))

    with pytest.raises(descriptor.ArchiveError, match="not a gzip file to the end"):
        descriptor.describe(path, "/none")


def test_failure_names_the_target_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, archive.gzip(CONTENT)[:-5])
    output = tmp_path / "descriptor.json"

    assert descriptor.main([str(path), str(output), "//a:layer", "/none"]) == 1
    assert f"ERROR: //a:layer: {path}: the gzip file ends too early" in capsys.readouterr().err
    assert not output.exists()


def test_zstd_archive_is_unpacked_by_the_program_that_is_named(tmp_path: Path) -> None:
    packed = archive.zstd(CONTENT)
    path = written(tmp_path, packed)
    (tmp_path / "unpacked").write_bytes(CONTENT)
    program = tmp_path / "zstd"
    program.write_text(f"#!/bin/sh\nexec cat {tmp_path}/unpacked\n")
    program.chmod(0o755)

    assert descriptor.describe(path, str(program)) == {
        "digest": digest(packed),
        "diffid": digest(CONTENT),
        "size": len(packed),
        "compression": "zstd",
    }


def test_zstd_archive_that_does_not_unpack_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, archive.zstd(CONTENT))
    false = shutil.which("false")
    assert false

    with pytest.raises(descriptor.ArchiveError, match="zstd could not unpack it"):
        descriptor.describe(path, false)


def test_descriptor_is_written_as_json(tmp_path: Path) -> None:
    path = written(tmp_path, CONTENT)
    output = tmp_path / "descriptor.json"

    assert descriptor.main([str(path), str(output), "//a:layer", "/none"]) == 0
    assert json.loads(output.read_text())["digest"] == digest(CONTENT)
