"""Archives have the same bytes whatever the machine, and only what is meant."""

import errno
import gzip
import hashlib
import io
import random
import tarfile
from pathlib import Path

import pytest

from rules.layers import tarball
from rules.layers.part import pack
from rules.layers.tree import Directory, File, Symlink, Tree

LARGE = random.Random(1).randbytes(3_000_000) + bytes(2_000_000)
# Compressible, and not in one way only.
TEXT = b"".join(b"%d %x\n" % (number, number**3) for number in range(50_000))


def tree(content: bytes = b"x") -> Tree:
    found = Tree()
    found.add("usr/bin/run", File(content, True, "a"))
    found.add("etc/text", File(b"text", False, "a"))
    found.add("bin", Symlink("usr/bin", "a"))
    found.add("tmp", Directory("a"))
    return found


def test_every_entry_is_roots_and_has_no_time(tmp_path: Path) -> None:
    tarball.write(tree(), tmp_path / "l.tar.gz")

    with tarfile.open(tmp_path / "l.tar.gz") as archive:
        members = archive.getmembers()
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", 0)}
    assert {m.name: m.mode for m in members} == {
        "bin": 0o777,
        "etc": 0o755,
        "etc/text": 0o644,
        "tmp": 0o755,
        "usr": 0o755,
        "usr/bin": 0o755,
        "usr/bin/run": 0o755,
    }


def test_the_gzip_header_has_neither_time_nor_name(tmp_path: Path) -> None:
    tarball.write(tree(), tmp_path / "l.tar.gz")

    assert (tmp_path / "l.tar.gz").read_bytes()[:10].hex() == "1f8b08000000000000ff"


def test_the_archive_holds_what_went_in(tmp_path: Path) -> None:
    tarball.write(tree(LARGE), tmp_path / "l.tar.gz")

    with tarfile.open(tmp_path / "l.tar.gz") as archive:
        stream = archive.extractfile("usr/bin/run")
        assert stream is not None
        assert stream.read() == LARGE


def test_the_descriptor_is_that_of_the_file(tmp_path: Path) -> None:
    descriptor, _ = tarball.write(tree(LARGE), tmp_path / "l.tar.gz")

    packed = (tmp_path / "l.tar.gz").read_bytes()
    assert descriptor.digest == "sha256:" + hashlib.sha256(packed).hexdigest()
    assert descriptor.diffid == "sha256:" + hashlib.sha256(gzip.decompress(packed)).hexdigest()
    assert descriptor.size == len(packed)


def test_the_same_tree_has_the_same_bytes(tmp_path: Path) -> None:
    first, _ = tarball.write(tree(LARGE), tmp_path / "a.tar.gz")
    second, _ = tarball.write(tree(LARGE), tmp_path / "b.tar.gz")

    assert first == second


def test_the_contents_say_where_each_entry_is_from(tmp_path: Path) -> None:
    _, contents = tarball.write(tree(), tmp_path / "l.tar.gz")

    rows = {row["path"]: row for row in contents}
    assert rows["/etc/text"] == {
        "path": "/etc/text",
        "type": "file",
        "mode": "0644",
        "size": 4,
        "sha256": hashlib.sha256(b"text").hexdigest(),
        "origin": "a",
    }
    assert rows["/bin"]["target"] == "usr/bin"


def test_a_link_leads_where_it_should(tmp_path: Path) -> None:
    tarball.write(tree(), tmp_path / "l.tar.gz")

    with tarfile.open(tmp_path / "l.tar.gz") as archive:
        link = archive.getmember("bin")
        assert (link.issym(), link.linkname) == (True, "usr/bin")
        assert archive.getmember("tmp").isdir()


def test_a_layer_has_the_bytes_that_it_has_everywhere(tmp_path: Path) -> None:
    """Another version of the compressor changes every digest: that has to be meant."""
    descriptor, _ = tarball.write(tree(TEXT), tmp_path / "l.tar.gz")

    assert descriptor.digest == (
        "sha256:b2c9764da447d21afe66504c568ad1290f4befbbb09a901bfa633e0622bfb1b4"
    )


PART = [("usr/share/text", File(TEXT, False, "a==1"))]


def test_a_part_is_in_the_layer_as_it_is_packed(tmp_path: Path) -> None:
    part = pack(PART)

    tarball.write(tree(), tmp_path / "l.tar.gz", [part])

    assert (tmp_path / "l.tar.gz").read_bytes().count(part.packed) == 1


def test_the_descriptor_is_that_of_all_members(tmp_path: Path) -> None:
    descriptor, _ = tarball.write(tree(), tmp_path / "l.tar.gz", [pack(PART)])

    packed = (tmp_path / "l.tar.gz").read_bytes()
    assert descriptor.digest == "sha256:" + hashlib.sha256(packed).hexdigest()
    assert descriptor.diffid == "sha256:" + hashlib.sha256(gzip.decompress(packed)).hexdigest()
    assert descriptor.size == len(packed)


@pytest.mark.parametrize("size", [0, 1, 512, 9 * 512, 17 * 512, 18 * 512, 20 * 512])
def test_a_layer_of_parts_ends_as_tar_ends(size: int, tmp_path: Path) -> None:
    """Two empty blocks, and the record of 20 blocks is filled (POSIX.1-2024, ustar)."""
    entries = [("file", File(b"x" * size, False, "a"))]
    header = tarfile.TarInfo("file")
    header.size = size
    with tarfile.open(tmp_path / "l.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(header, io.BytesIO(b"x" * size))

    tarball.write(Tree(), tmp_path / "l.tar.gz", [pack(entries)])

    plain = gzip.decompress((tmp_path / "l.tar.gz").read_bytes())
    assert plain == (tmp_path / "l.tar").read_bytes()


def test_a_layer_of_parts_has_the_bytes_that_it_has_everywhere(tmp_path: Path) -> None:
    descriptor, _ = tarball.write(tree(), tmp_path / "l.tar.gz", [pack(PART)])

    assert (
        descriptor.digest
        == "sha256:4b7e22438c03c61c107e6d20af8b481e986007ac74c678442b25e1fbdbd9556f"
    )


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    broken = tree()
    broken.add("etc/gone", File(tmp_path / "missing", False, "a"))

    with pytest.raises(FileNotFoundError):
        tarball.write(broken, tmp_path / "l.tar.gz")

    assert not (tmp_path / "l.tar.gz").exists()


def test_a_disk_that_is_full_leaves_no_half_of_a_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(file: Path, content: bytes) -> int:
        with file.open("wb") as out:
            out.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)

    with pytest.raises(OSError, match="No space"):
        tarball.write(tree(), tmp_path / "l.tar.gz")

    assert not (tmp_path / "l.tar.gz").exists()
