"""Archives have the same bytes whatever the machine, and only what is meant."""

import gzip
import hashlib
import io
import random
import tarfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rules.layers import tarball
from rules.layers.tree import Directory, File, Symlink, Tree

# Larger than several compression blocks, and not compressible to nothing.
LARGE = random.Random(1).randbytes(3_000_000) + bytes(2_000_000)


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

    assert (tmp_path / "l.tar.gz").read_bytes()[:10].hex() == "1f8b08000000000002ff"


def test_blocks_decompress_to_what_went_in(tmp_path: Path) -> None:
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


def test_what_a_block_has_in_common_with_the_one_before_is_not_stored_twice(
    tmp_path: Path,
) -> None:
    part = random.Random(2).randbytes(1 << 14)
    # Seven blocks of the same 16 KiB.
    descriptor, _ = tarball.write(tree(part * 200), tmp_path / "l.tar.gz")

    assert descriptor.size < 3 * len(part)


class Waiting(ThreadPoolExecutor):
    """Compresses at once, and counts the blocks that nobody has asked for yet."""

    def __init__(self) -> None:
        super().__init__(1)
        self.waiting = self.most = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        executor = self

        class Counted(Future[Any]):
            def result(self, timeout: float | None = None) -> Any:
                executor.waiting -= 1
                return super().result(timeout)

        future = Counted()
        future.set_result(fn(*args))
        return future


@pytest.mark.parametrize("at_once", [True, False])
def test_few_blocks_wait_in_memory_and_cuts_change_no_byte(at_once: bool) -> None:
    block = tarball._BLOCK
    plain = b"0123456789abcdef" * (30 * block // 16)
    pool, out = Waiting(), io.BytesIO()
    stream = tarball._Gzip(out, pool)
    if at_once:
        stream.write(plain)
    else:
        for at in range(0, len(plain), block // 2):
            stream.write(plain[at : at + block // 2])
    # Whole blocks go as they are full: the last one is empty.
    assert not stream._buffer

    stream.close()

    assert gzip.decompress(out.getvalue()) == plain
    # One more than are kept, while it is decided.
    assert pool.most == 17


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    broken = tree()
    broken.add("etc/gone", File(tmp_path / "missing", False, "a"))

    with pytest.raises(FileNotFoundError):
        tarball.write(broken, tmp_path / "l.tar.gz")

    assert not (tmp_path / "l.tar.gz").exists()
