"""The first difference between two files, in the terms of what they are."""

import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rules.diff import cause, documents, elf, pyc, shown
from rules.diff.difference import Cause
from rules.diff.layer import gzip_header

_DEPTH = 3
# Of what is unpacked to be looked into, in bytes: no archive may fill the memory.
_LIMIT = 256 << 20
_LINES_BEFORE = 2
_MANY = 8


@dataclass(frozen=True)
class Finding:
    """One difference inside a file; `part` leads to it (a section, a member, a code object)."""

    part: tuple[str, ...]
    what: str
    left: str
    right: str
    cause: Cause | None = None
    context: tuple[str, ...] = ()


def findings(name: str, left: bytes, right: bytes, depth: int = 0) -> list[Finding]:
    """What differs between two files of one name; empty only where they are equal."""
    if left == right:
        return []
    if depth < _DEPTH:
        for recognise, look in _KINDS:
            if recognise(name, left) and recognise(name, right):
                try:
                    found = look(name, left, right, depth)
                except (ValueError, struct.error, OSError, EOFError, zlib.error) as error:
                    return [
                        *_plain(left, right),
                        Finding((), "form", f"not read as what it seems to be: {error}", ""),
                    ]
                if found:
                    return found
    return _plain(left, right)


def _plain(left: bytes, right: bytes) -> list[Finding]:
    one, other = _text(left), _text(right)
    if one is not None and other is not None:
        return [_text_finding(one, other)]
    return [_bytes_finding(left, right)]


def _text(content: bytes) -> str | None:
    if b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _text_finding(left: str, right: str) -> Finding:
    one, other = left.split("\n"), right.split("\n")
    line = shown.common_prefix(one, other)
    earlier = one[max(0, line - _LINES_BEFORE) : line]
    before = tuple(f"  {shown.window(each, 0)}" for each in earlier)
    first = one[line] if line < len(one) else ""
    second = other[line] if line < len(other) else ""
    a, b = shown.pair(first, second)
    return Finding(
        (),
        f"line {line + 1}",
        a if line < len(one) else "(ends before)",
        b if line < len(other) else "(ends before)",
        cause.of_text(left, right) or cause.of_text(first, second),
        before,
    )


def _bytes_finding(left: bytes, right: bytes) -> Finding:
    at = shown.common_prefix(left, right)
    one, other = shown.strings_around(left, at), shown.strings_around(right, at)
    guess = cause.of_text(one, other) if one and other and one != other else None
    if not guess and len(left) == len(right):
        guess = _binary_time(left, right)
    return Finding(
        (),
        f"byte {at} of {len(left)}" + (f" and {len(right)}" if len(left) != len(right) else ""),
        f"{one!r}" if guess and one else shown.hexadecimal(left, at),
        f"{other!r}" if guess and other else shown.hexadecimal(right, at),
        guess,
    )


def _binary_time(left: bytes, right: bytes) -> Cause | None:
    """The clock, where all that differs is one number of 4 bytes that is a time since 1970."""
    at = shown.common_prefix(left, right)
    end = shown.common_prefix(left[at:][::-1], right[at:][::-1])
    if all(_is_word(side[at : len(side) - end]) for side in (left, right)):
        # "loop" is the number of a day in 2029.
        return None
    for start in range(max(0, at - 3), at + 1):
        one, other = left[start : start + 4], right[start : start + 4]
        if len(one) < 4 or left[start + 4 :] != right[start + 4 :]:
            continue
        for order in ("<I", ">I"):
            values = struct.unpack(order, one)[0], struct.unpack(order, other)[0]
            # The years 2000 to 2100.
            if all(value == 0 or 946_684_800 <= value < 4_102_444_800 for value in values):
                return cause.CLOCK
    return None


def _is_word(content: bytes) -> bool:
    """Whether bytes are letters, digits and what stands between them in names."""
    return content.isascii() and content.replace(b"_", b"0").replace(b".", b"0").isalnum()


# What files are, by name and first bytes.


def _is_pyc(name: str, _: bytes) -> bool:
    return name.endswith(".pyc")


def _pyc(_: str, left: bytes, right: bytes, depth: int) -> list[Finding]:
    del depth
    if left[:4] != right[:4]:
        what = "magic number of the byte-code"
        return [Finding((), what, left[:4].hex(), right[:4].hex(), cause.VERSION)]
    found = []
    if left[4:16] != right[4:16]:
        guess = cause.CLOCK if {"source's"} == _kinds(left, right) else None
        found.append(Finding((), "header", pyc.validation(left), pyc.validation(right), guess))
    if left[16:] == right[16:]:
        return found
    one, other = pyc.read(left), pyc.read(right)
    count = 0
    for name, field, first, second in pyc.differences(one.code, other.code):
        count += 1
        if count <= _MANY:
            a, b = shown.pair(_constant(first), _constant(second))
            part = (f"code object {name}",)
            found.append(Finding(part, field, a, b, _code_cause(field, first, second)))
    if count > _MANY:
        found.append(Finding((), "more code objects", f"{count - _MANY} more fields differ", ""))
    if not count:
        at = shown.common_prefix(left, right)
        a, b = shown.hexadecimal(left, at), shown.hexadecimal(right, at)
        found.append(Finding((), f"marshal form, byte {at}", a, b, cause.SHARING))
    return found


def _kinds(left: bytes, right: bytes) -> set[str]:
    return {pyc.validation(left).partition(" ")[0], pyc.validation(right).partition(" ")[0]}


def _constant(value: Any) -> str:
    if isinstance(value, pyc.Set):
        return f"frozenset({', '.join(map(_constant, value.items))})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_constant, value))})"
    return value.hex() if isinstance(value, bytes) else repr(value)


def _code_cause(field: str, left: Any, right: Any) -> Cause | None:
    if field == "filename":
        return cause.PATH
    if field == "consts" and _unordered(left) == _unordered(right):
        return cause.HASH_SEED
    if field == "consts":
        return cause.of_text(_constant(left), _constant(right))
    return None


def _unordered(value: Any) -> str:
    if isinstance(value, pyc.Set):
        return f"frozenset({', '.join(sorted(map(_unordered, value.items)))})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_unordered, value))})"
    return repr(value)


def _is_elf(_: str, content: bytes) -> bool:
    return elf.is_elf(content)


def _elf(_: str, left: bytes, right: bytes, depth: int) -> list[Finding]:
    one, other = elf.sections(left), elf.sections(right)
    found = []
    for name in [*one, *(each for each in other if each not in one)]:
        part = (f"section {name}",)
        if name not in one or name not in other:
            both = (one, other)
            sides = [f"{len(side[name])} bytes" if name in side else "(none)" for side in both]
            found.append(Finding(part, "section", sides[0], sides[1]))
        elif one[name] != other[name]:
            finding = _bytes_finding(one[name], other[name])
            if name == ".comment":
                finding = replace(finding, cause=cause.VERSION)
            found.append(replace(finding, part=part))
    if len(found) > 1:
        # The build ID is a hash of the rest, and the link to debug data has a checksum of it.
        for place, finding in enumerate(found):
            if finding.part[0] in {"section .note.gnu.build-id", "section .gnu_debuglink"}:
                found[place] = replace(finding, cause=cause.CONSEQUENCE)
    del depth
    return found


def _is_gzip(_: str, content: bytes) -> bool:
    return content[:3] == b"\x1f\x8b\x08"


def _gzip(name: str, left: bytes, right: bytes, depth: int) -> list[Finding]:
    found = gzip_findings(gzip_header(left[:4096]), gzip_header(right[:4096]))
    one, other = _gunzip(left), _gunzip(right)
    inner = findings(name.removesuffix(".gz"), one, other, depth + 1)
    found += [replace(each, part=("unpacked", *each.part)) for each in inner]
    if not found:
        finding = _bytes_finding(left, right)
        found = [replace(finding, what=f"compressed {finding.what}", cause=cause.COMPRESSOR)]
    return found


def gzip_findings(left: dict[str, str] | Any, right: dict[str, str] | Any) -> list[Finding]:
    """What differs between two gzip headers (as `layer.gzip_header` reads them)."""
    causes = {
        "time": cause.CLOCK,
        "name": cause.PATH,
        "operating system": cause.COMPRESSOR,
        "extra flags": cause.COMPRESSOR,
    }
    return [
        Finding(
            ("gzip header",),
            field,
            left.get(field, "(none)"),
            right.get(field, "(none)"),
            causes.get(field),
        )
        for field in dict.fromkeys([*left, *right])
        if left.get(field) != right.get(field)
    ]


def _gunzip(content: bytes) -> bytes:
    with gzip.open(io.BytesIO(content)) as stream:
        plain = stream.read(_LIMIT + 1)
    if len(plain) > _LIMIT:
        raise ValueError(f"it unpacks to more than {_LIMIT >> 20} MiB")
    return plain


def _is_zip(_: str, content: bytes) -> bool:
    return content[:4] == b"PK\x03\x04"


def _zip(name: str, left: bytes, right: bytes, depth: int) -> list[Finding]:
    try:
        one, other = zipfile.ZipFile(io.BytesIO(left)), zipfile.ZipFile(io.BytesIO(right))
    except zipfile.BadZipFile as error:
        raise ValueError(f"{name}: {error}") from error
    found = []
    names, others = one.namelist(), other.namelist()
    if names != others and sorted(names) == sorted(others):
        at = shown.common_prefix(names, others)
        guess = cause.of_order(names, others)
        found.append(Finding((), f"order of members, from {at}", names[at], others[at], guess))
    for member in dict.fromkeys([*names, *others]):
        found += list(_members(one, other, member, depth))
    return found


def _members(
    one: zipfile.ZipFile, other: zipfile.ZipFile, member: str, depth: int
) -> Iterator[Finding]:
    part = (f"member {member}",)
    names = [set(each.namelist()) for each in (one, other)]
    if not all(member in each for each in names):
        sides = ["there" if member in each else "(none)" for each in names]
        yield Finding(part, "member", sides[0], sides[1])
        return
    first, second = one.getinfo(member), other.getinfo(member)
    for what, left, right, guess in (
        ("time", first.date_time, second.date_time, cause.CLOCK),
        ("mode", oct(first.external_attr >> 16), oct(second.external_attr >> 16), cause.UMASK),
        ("extra field", first.extra.hex(), second.extra.hex(), None),
        ("compressed size", *_sizes(first, second), cause.COMPRESSOR),
    ):
        if left != right:
            yield Finding(part, what, str(left), str(right), guess)
    if first.file_size + second.file_size > _LIMIT:
        return
    for each in findings(member, one.read(member), other.read(member), depth + 1):
        yield replace(each, part=(*part, *each.part))


def _sizes(first: zipfile.ZipInfo, second: zipfile.ZipInfo) -> tuple[int, int]:
    same = first.CRC == second.CRC
    return (first.compress_size, second.compress_size) if same else (0, 0)


def _is_json(_: str, content: bytes) -> bool:
    return content.lstrip()[:1] in {b"{", b"["}


def _json(_: str, left: bytes, right: bytes, depth: int) -> list[Finding]:
    del depth
    try:
        one, other = json.loads(left), json.loads(right)
    except (ValueError, RecursionError):
        return []
    return [
        Finding((path,) if path else (), what, a, b, guess)
        for path, what, a, b, guess in documents.differences(one, other, left, right)
    ]


def same_source(path: str) -> Sequence[str]:
    """Where the source of a .pyc file may lie (PEP 3147, and PEP 488's older place)."""
    folder, _, name = path.rpartition("/")
    stem = name.removesuffix(".pyc")
    if folder.endswith("/__pycache__"):
        return [f"{folder.removesuffix('/__pycache__')}/{stem.partition('.')[0]}.py"]
    return [f"{folder}/{stem}.py"]


_KINDS = (
    (_is_pyc, _pyc),
    (_is_elf, _elf),
    (_is_gzip, _gzip),
    (_is_zip, _zip),
    (_is_json, _json),
)
