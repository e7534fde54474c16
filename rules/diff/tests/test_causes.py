"""Each pattern that is known to make builds differ is made here, and must be named."""

import json
import marshal
import os
import struct
import tarfile
import types
from dataclasses import replace
from pathlib import Path

import pytest

from rules.diff import cause, pyc
from rules.diff.__main__ import compare
from rules.diff.difference import Cause, Difference, Report
from rules.diff.tests.images import Item, Layout, image, packed, tar

# Enough that two layers which differ in one entry are seen to be the same layer.
CONSTANT = [Item(f"etc/{name}", f"{name}\n") for name in "abcdef"]


def report(tmp_path: Path) -> Report:
    return compare("A", "B", base=tmp_path)


def between(tmp_path: Path, left: list[Item], right: list[Item]) -> list[Difference]:
    image(tmp_path / "A", [*CONSTANT, *left])
    image(tmp_path / "B", [*CONSTANT, *right])
    return report(tmp_path).differences


def only(differences: list[Difference]) -> Difference:
    assert len(differences) == 1, differences
    return differences[0]


def between_contents(
    tmp_path: Path, path: str, left: bytes | str, right: bytes | str
) -> Difference:
    found = only(between(tmp_path, [Item(path, left)], [Item(path, right)]))
    assert f"/{path}" in found.where
    return found


def test_time_of_a_file_is_a_clock(tmp_path: Path) -> None:
    found = only(between(tmp_path, [Item("x", "1")], [Item("x", "1", mtime=1_790_000_000)]))
    assert (found.what, found.left, found.right) == ("time", "0", "1790000000")
    assert found.cause is cause.CLOCK


def test_time_below_a_second_is_seen(tmp_path: Path) -> None:
    times = [Item("x", "1", mtime=5), Item("x", "1", mtime=5.25)]
    found = between(tmp_path, times[:1], times[1:])
    assert ("time", "5", "5.25") in [(each.what, each.left, each.right) for each in found]


def test_time_in_the_header_of_gzip_is_a_clock(tmp_path: Path) -> None:
    image(tmp_path / "A", CONSTANT)
    image(tmp_path / "B", CONSTANT, compress=lambda plain: packed(plain, time=1_790_000_000))
    found = only(report(tmp_path).differences)
    assert found.where[-1] == "gzip header"
    assert (found.what, found.cause) == ("time", cause.CLOCK)


def test_name_in_the_header_of_gzip_is_a_path(tmp_path: Path) -> None:
    image(tmp_path / "A", CONSTANT)
    image(tmp_path / "B", CONSTANT, compress=lambda plain: packed(plain, name="/home/ann/x.tar"))
    assert cause.PATH in {each.cause for each in report(tmp_path).differences}


def test_created_in_the_config_is_a_clock(tmp_path: Path) -> None:
    image(tmp_path / "A", CONSTANT)
    image(tmp_path / "B", CONSTANT, config={"created": "2026-11-24T10:00:00Z"})
    found = only(report(tmp_path).differences)
    assert found.level == "config"
    assert found.where[-1] == "created"
    assert found.cause is cause.CLOCK


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("made 2026-11-24T10:00:00Z\n", "made 2025-01-02T03:04:05Z\n", cause.CLOCK),
        ("made Tue Nov 24 10:00:00 UTC 2026", "made Mon Jan 5 1:0 2025", None),
        ("Date: 24 Nov 2026 10:00:00 GMT", "Date: 2 Jan 2025 03:04:05 GMT", cause.CLOCK),
        ("time = 1790000000\n", "time = 1690000000\n", cause.CLOCK),
        ("built in 2026\n", "built in 2036\n", cause.CLOCK),
        ("version 3026\n", "version 3036\n", None),
        ("from /home/ann/src/app.py", "from /builds/7/src/app.py", cause.PATH),
        ("in /tmp/a/output\n", "in /tmp/with a space/und Größe/output\n", cause.PATH),
        ("/usr/bin/tool of mine", "/usr/bin/tool of yours", None),
        ("x\ny\nz\n", "y\nx\nz\n", cause.ORDER),
        ("B\na\n", "a\nB\n", cause.LOCALE),
        ("allowed = {'a', 'b', 'c'}", "allowed = {'c', 'a', 'b'}", cause.HASH_SEED),
        ("<object at 0x7f0011223344>", "<object at 0x7f9911223344>", cause.ADDRESS),
        (
            "id: 6f1f7f1e-0000-4000-8000-000000000001",
            "id: 6f1f7f1e-0000-4000-8000-000000000002",
            cause.RANDOM,
        ),
        ("built by ann@laptop", "built by root@runner-17", cause.HOST),
        ("total 1.234,5", "total 1,234.5", cause.LOCALE),
        ("Größe", "Gr??e", cause.LOCALE),
        ("one\r\ntwo\r\n", "one\ntwo\n", cause.LINE_ENDS),
        ("timeout = 3", "timeout = 30", None),
        ("import os", "import  os", None),
    ],
)
def test_text_is_explained(tmp_path: Path, left: str, right: str, expected: Cause | None) -> None:
    assert between_contents(tmp_path, "usr/share/x.txt", left, right).cause is expected


def test_text_shows_the_line_and_what_is_before_it(tmp_path: Path) -> None:
    found = between_contents(tmp_path, "x.txt", "1\n2\n3\nfour\n", "1\n2\n3\nfive\n")
    assert (found.what, found.left, found.right) == ("line 4", "four", "five")
    assert found.context == ("  2", "  3")


def test_order_of_entries_is_an_order(tmp_path: Path) -> None:
    items = [Item(name, name) for name in ("one", "two", "three")]
    found = only(between(tmp_path, items, [items[2], items[0], items[1]]))
    assert found.what == "order of entries, from entry 7"
    assert (found.left, found.right) == ("/one", "/three")
    assert found.cause is cause.ORDER


def test_order_of_another_language_is_a_locale(tmp_path: Path) -> None:
    upper, lower = [Item("Zebra", "1")], [Item("apple", "2")]
    image(tmp_path / "A", [*upper, *lower])
    image(tmp_path / "B", [*lower, *upper])
    assert only(report(tmp_path).differences).cause is cause.LOCALE


def test_owner_and_its_name_are_an_owner(tmp_path: Path) -> None:
    item = Item("x", "1")
    found = between(tmp_path, [item], [replace(item, uid=1000, gid=1000, uname="ann")])
    assert [(each.what, each.cause) for each in found] == [
        ("owner", cause.OWNER),
        ("owner's name", cause.OWNER),
    ]


@pytest.mark.parametrize(("left", "right"), [(0o644, 0o600), (0o755, 0o775), (0o664, 0o644)])
def test_modes_less_a_mask_are_a_umask(tmp_path: Path, left: int, right: int) -> None:
    found = only(between(tmp_path, [Item("x", "1", left)], [Item("x", "1", right)]))
    assert (found.what, found.cause) == ("mode", cause.UMASK)


@pytest.mark.parametrize(("left", "right"), [(0o644, 0o4755), (0o640, 0o604)])
def test_mode_that_no_mask_makes_is_not_called_one(tmp_path: Path, left: int, right: int) -> None:
    found = only(between(tmp_path, [Item("x", "1", left)], [Item("x", "1", right)]))
    assert found.cause is None


def test_another_compressor_is_named_where_the_archive_is_the_same(tmp_path: Path) -> None:
    image(tmp_path / "A", CONSTANT * 50)
    image(tmp_path / "B", CONSTANT * 50, compress=lambda plain: packed(plain, level=1))
    assert {each.cause for each in report(tmp_path).differences} == {cause.COMPRESSOR}


def test_no_compression_is_seen(tmp_path: Path) -> None:
    image(tmp_path / "A", CONSTANT)
    image(tmp_path / "B", CONSTANT, compress=lambda plain: plain)
    found = only(report(tmp_path).differences)
    assert (found.what, found.left, found.right) == ("compression", "gzip", "none")


def test_another_form_of_tar_is_a_writer(tmp_path: Path) -> None:
    image(tmp_path / "A", tar(CONSTANT))
    image(tmp_path / "B", tar(CONSTANT, tarfile.GNU_FORMAT))
    found = report(tmp_path).differences
    assert {(each.what, each.left, each.right) for each in found} == {
        ("header format", "ustar", "GNU")
    }
    assert {each.cause for each in found} == {cause.WRITER}


def test_zeros_after_the_archive_are_seen(tmp_path: Path) -> None:
    plain = tar(CONSTANT)
    image(tmp_path / "A", plain)
    image(tmp_path / "B", plain + bytes(10240))
    assert only(report(tmp_path).differences).what == "end of the archive"


def test_bytes_of_a_header_that_mean_nothing_are_seen(tmp_path: Path) -> None:
    plain = bytearray(tar(CONSTANT))
    image(tmp_path / "A", bytes(plain))
    plain[505] = 1
    plain[148:156] = b"%06o\0 " % (sum(plain[:148]) + sum(plain[156:512]) + 8 * 32)
    image(tmp_path / "B", bytes(plain))
    assert only(report(tmp_path).differences).what == "header of /etc/a, checksum"


def test_link_is_shown(tmp_path: Path) -> None:
    found = only(between(tmp_path, [Item("x", link="a")], [Item("x", link="b")]))
    assert (found.what, found.left, found.right) == ("link", "a", "b")


def test_kind_of_entry_is_shown_once(tmp_path: Path) -> None:
    found = only(between(tmp_path, [Item("x", "1")], [Item("x", link="b")]))
    assert (found.what, found.left, found.right) == ("type", "file", "symbolic link")


def test_extended_attribute_is_shown(tmp_path: Path) -> None:
    pax = {"SCHILY.xattr.user.mark": "1"}
    found = between(tmp_path, [Item("x", "1")], [Item("x", "1", pax=pax)])
    assert [each.what for each in found] == ["header format", "extended attribute user.mark"]


def test_json_is_compared_by_value(tmp_path: Path) -> None:
    left = json.dumps({"a": {"b": [1, 2, 3]}, "same": 1})
    right = json.dumps({"a": {"b": [1, 5, 3]}, "same": 1})
    found = between_contents(tmp_path, "x.json", left, right)
    assert (found.where[-1], found.left, found.right) == ("a.b[1]", "2", "5")


def test_order_of_keys_is_an_order(tmp_path: Path) -> None:
    found = between_contents(
        tmp_path, "x.json", '{"b": 1, "c": 2, "a": 3}', '{"c": 2, "b": 1, "a": 3}'
    )
    assert (found.what, found.cause) == ("order of keys", cause.ORDER)


def test_other_spaces_in_json_are_a_writer(tmp_path: Path) -> None:
    found = between_contents(tmp_path, "x.json", '{"a": 1}', '{"a":1}')
    assert found.what.startswith("form, from byte 5")
    assert found.cause is cause.WRITER


def test_gzip_inside_a_layer_is_unpacked(tmp_path: Path) -> None:
    left, right = packed(b"one\n", time=1), packed(b"two\n", time=2)
    found = between(tmp_path, [Item("x.gz", left)], [Item("x.gz", right)])
    assert [(each.where[-1], each.what) for each in found] == [
        ("gzip header", "time"),
        ("unpacked", "line 1"),
    ]


# Byte-code.


def compiled(source: str, path: str = "/app/x.py", header: bytes = b"") -> bytes:
    code = compile(source, path, "exec", dont_inherit=True)
    return pyc.MAGIC + (header or struct.pack("<I8s", 1, b"hash1234")) + marshal.dumps(code)


def test_path_in_byte_code_is_a_path(tmp_path: Path) -> None:
    left, right = compiled("x = 1", "/home/ann/x.py"), compiled("x = 1", "/builds/x.py")
    found = between_contents(tmp_path, "app/x.pyc", left, right)
    assert (found.where[-1], found.what) == ("code object <module>", "filename")
    assert found.cause is cause.PATH


def test_frozen_set_in_another_order_is_a_hash_seed(tmp_path: Path) -> None:
    plain = compiled("def f(x):\n    return x in {'aa', 'bb'}\n")
    a, b = (plain.index(name) for name in (b"aa", b"bb"))
    other = bytearray(plain)
    other[a : a + 2], other[b : b + 2] = b"bb", b"aa"
    found = between_contents(tmp_path, "app/x.pyc", plain, bytes(other))
    assert found.where[-1] == "code object f"
    assert found.cause is cause.HASH_SEED


def test_time_of_the_source_in_byte_code_is_a_clock(tmp_path: Path) -> None:
    headers = [struct.pack("<III", 0, time, 5) for time in (1_700_000_000, 1_790_000_000)]
    left, right = (compiled("x = 1", header=header) for header in headers)
    found = between_contents(tmp_path, "app/x.pyc", left, right)
    assert (found.what, found.cause) == ("header", cause.CLOCK)


def test_equal_code_in_other_bytes_is_sharing(tmp_path: Path) -> None:
    plain = compiled("x = 1")
    # Version 2 shares nothing.
    other = plain[:16] + marshal.dumps(marshal.loads(plain[16:]), 2)
    assert other != plain
    found = between_contents(tmp_path, "app/x.pyc", plain, other)
    assert found.cause is cause.SHARING


def test_byte_code_of_another_python_is_a_version(tmp_path: Path) -> None:
    plain = compiled("x = 1")
    found = between_contents(tmp_path, "app/x.pyc", plain, b"\xaa" + plain[1:])
    assert found.cause is cause.VERSION


def test_byte_code_of_another_source_follows_from_it(tmp_path: Path) -> None:
    left = [Item("app/x.py", "x = 1"), Item("app/x.pyc", compiled("x = 1"))]
    right = [Item("app/x.py", "x = 2"), Item("app/x.pyc", compiled("x = 2"))]
    found = between(tmp_path, left, right)
    causes = {each.where[2]: each.cause for each in found}
    assert causes == {"/app/x.py": None, "/app/x.pyc": cause.CONSEQUENCE}


@pytest.mark.parametrize("source", ["x = 1", "class A:\n    def f(self): return 2.5, 3j, 10**30\n"])
def test_byte_code_is_read_as_marshal_reads_it(source: str) -> None:
    content = compiled(source)
    read = pyc.read(content).code
    real: types.CodeType = marshal.loads(content[16:])
    assert read.fields["code"] == real.co_code
    assert read.fields["names"] == real.co_names
    assert read.name == real.co_qualname


@pytest.mark.parametrize("cut", [16, 17, 40, 90])
def test_torn_byte_code_is_shown_as_bytes(tmp_path: Path, cut: int) -> None:
    content = compiled("def f(): return 'a long constant to have something to tear'")
    found = between(tmp_path, [Item("x.pyc", content)], [Item("x.pyc", content[:cut])])
    assert [each.what for each in found][-1] == "form"


# ELF.


def elf(**sections: bytes) -> bytes:
    """A 64-bit little-endian file with these sections; `_` stands for a dot."""
    names = [".shstrtab", *(name.replace("_", ".", 1) for name in sections)]
    table = b"\0" + b"\0".join(each.encode() for each in names) + b"\0"
    contents = [table, *sections.values()]
    at, headers = 64, [struct.pack("<IIQQQQIIQQ", *[0] * 10)]
    for name, content in zip(names, contents, strict=True):
        place = table.index(b"\0" + name.encode() + b"\0") + 1
        headers.append(struct.pack("<IIQQQQIIQQ", place, 1, 0, 0, at, len(content), 0, 0, 1, 0))
        at += len(content)
    start = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    start += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, at, 0, 64, 0, 0, 64, len(headers), 1)
    return start + b"".join(contents) + b"".join(headers)


def test_path_in_a_section_is_a_path(tmp_path: Path) -> None:
    left = elf(_text=b"\x90" * 8, _rodata=b"\0\x01/home/ann/src/x.c\0")
    right = elf(_text=b"\x90" * 8, _rodata=b"\0\x01/builds/77/src/x.c\0")
    found = between_contents(tmp_path, "usr/lib/x.so", left, right)
    assert found.where[-1] == "section .rodata"
    assert found.cause is cause.PATH


def test_build_id_follows_from_the_rest(tmp_path: Path) -> None:
    note = ".note.gnu.build-id".replace(".", "_", 1)
    left = elf(**{"_text": b"\x90" * 8, note: b"\x01" * 20})
    right = elf(**{"_text": b"\x91" * 8, note: b"\x02" * 20})
    found = between(tmp_path, [Item("x.so", left)], [Item("x.so", right)])
    assert [(each.where[-1], each.cause) for each in found] == [
        ("section .text", None),
        ("section .note.gnu.build-id", cause.CONSEQUENCE),
    ]


def test_compiler_is_a_version(tmp_path: Path) -> None:
    left, right = elf(_comment=b"GCC: 14.2.0\0"), elf(_comment=b"GCC: 15.1.0\0")
    assert between_contents(tmp_path, "x.so", left, right).cause is cause.VERSION


def test_section_that_one_side_lacks_is_shown(tmp_path: Path) -> None:
    left, right = elf(_text=b"1234"), elf(_text=b"1234", _debug=b"12345")
    found = between(tmp_path, [Item("x.so", left)], [Item("x.so", right)])
    assert [(each.what, each.left, each.right) for each in found if "debug" in each.where[-1]] == [
        ("section", "(none)", "5 bytes")
    ]


def test_date_in_a_binary_is_a_clock(tmp_path: Path) -> None:
    left, right = b"\0\1Nov 24 2026 10:00:00\0", b"\0\1Jan 03 2025 11:00:00\0"
    found = between_contents(tmp_path, "x.bin", left, right)
    assert (found.cause, found.left) == (cause.CLOCK, "'Nov 24 2026 10:00:00'")


def test_time_as_a_number_in_a_binary_is_a_clock(tmp_path: Path) -> None:
    left = b"\0head" + struct.pack("<I", 1_700_000_000) + b"tail\xff"
    right = b"\0head" + struct.pack("<I", 1_790_000_000) + b"tail\xff"
    assert between_contents(tmp_path, "x.bin", left, right).cause is cause.CLOCK


def test_letters_that_could_be_the_number_of_a_time_are_no_clock(tmp_path: Path) -> None:
    left, right = b"\0uvloop\0\0\xff", b"\0uvlooq\0\0\xff"
    assert between_contents(tmp_path, "x.bin", left, right).cause is None


def test_order_of_images_in_an_index_is_an_order(tmp_path: Path) -> None:
    for side, flip in (("A", 1), ("B", -1)):
        layout = Layout(tmp_path / side)
        images = [
            layout.image([tar(CONSTANT)], architecture=name)
            | {"platform": {"os": "linux", "architecture": name}}
            for name in ("amd64", "s390x", "arm64")
        ]
        layout.finish(layout.index(images[::flip]))
    found = only(report(tmp_path).differences)
    assert (found.level, found.what, found.cause) == ("index", "order of images", cause.ORDER)


def test_the_version_of_this_machines_kernel_is_known_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = os.uname()
    release = (machine.sysname, machine.nodename, "6.12.41+deb13-amd64", *machine[3:])
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(release))

    assert cause.of_text("6.12.41+deb13-amd64\n", "6.1.0-37-cloud-amd64\n") is cause.KERNEL
    assert cause.of_text("on 6.1.0-37 now", "on 6.12.41+deb13-amd64 now") is cause.KERNEL
    assert cause.of_text("openssl 3.5.1-1", "openssl 3.5.4-1") is not cause.KERNEL
    assert cause.of_text("6.12.41+deb13-amd64 a", "6.1.0 b") is not cause.KERNEL
