"""A part is a gzip member of entries that a layer takes as it is."""

import gzip
import io
import tarfile
from pathlib import Path

from rules.layers import part
from rules.layers.tree import Directory, File, Symlink

ENTRIES = [
    ("lib/fast/__init__.py", File(b"x = 1\n", False, "fast==1.0")),
    (
        "lib/fast/run",
        File(b"run", True, "fast==1.0", ("/lib/fast/run",), stripped="00ff"),
    ),
]


def test_a_part_has_its_entries_and_no_end_of_the_archive() -> None:
    made = part.pack(ENTRIES)

    plain = made.unpacked()
    assert plain == gzip.decompress(made.packed)
    # A block for each header, and one for each file, which are small.
    assert len(plain) == 4 * tarfile.BLOCKSIZE
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        assert archive.getnames() == ["lib/fast/__init__.py", "lib/fast/run"]


def test_parts_one_after_another_are_one_archive() -> None:
    one, other = part.pack(ENTRIES[:1]), part.pack(ENTRIES[1:])

    with tarfile.open(fileobj=io.BytesIO(one.packed + other.packed)) as archive:
        assert archive.getnames() == ["lib/fast/__init__.py", "lib/fast/run"]


def test_a_part_that_is_written_and_read_is_the_same(tmp_path: Path) -> None:
    made = part.pack(ENTRIES)
    (tmp_path / "packed").write_bytes(made.packed)
    (tmp_path / "contents").write_text(part.lines(made.rows))

    assert part.read(tmp_path / "packed", tmp_path / "contents") == made


def test_the_files_of_a_part_are_those_that_it_was_made_of() -> None:
    found = list(part.pack(ENTRIES).files())

    read = [(path, file._replace(content=file.read())) for path, file in found]
    assert read == ENTRIES


def test_a_part_comes_from_where_its_first_entry_does() -> None:
    assert part.pack(ENTRIES).origin == "fast==1.0"
    assert part.pack([]).origin == ""


def test_an_archive_has_folders_and_links_where_they_are_asked_for() -> None:
    plain, rows = part.archived([("lib", Directory("a")), ("bin", Symlink("usr/bin", "a"))])

    assert len(plain) == 2 * tarfile.BLOCKSIZE
    assert [row["type"] for row in rows] == ["directory", "symlink"]
