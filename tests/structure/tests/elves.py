"""Small ELF files to test with."""

import struct
from collections.abc import Mapping, Sequence

_BASE = 0x1000


class _Strings:
    def __init__(self) -> None:
        self.content = bytearray(b"\0")

    def add(self, text: str) -> int:
        offset = len(self.content)
        self.content += text.encode() + b"\0"
        return offset


def build(
    *,
    needed: Sequence[str] = (),
    runpath: str = "",
    rpath: str = "",
    interpreter: str = "",
    versions: Mapping[str, Sequence[str]] | None = None,
    defines: Sequence[str] = (),
    machine: int = 62,
    pie: bool = False,
) -> bytes:
    """A shared object (or, with `pie`, a program) that has nothing but its needs."""
    strings = _Strings()
    tags: list[tuple[int, int]] = [(1, strings.add(name)) for name in needed]
    if runpath:
        tags.append((29, strings.add(runpath)))
    if rpath:
        tags.append((15, strings.add(rpath)))
    if pie:
        tags.append((0x6FFFFFFB, 0x08000000))
    wanted = _needed_versions(strings, versions or {})
    defined = _defined_versions(strings, defines)
    header = 64 + 3 * 56
    parts = [interpreter.encode() + b"\0", wanted, defined, bytes(strings.content)]
    offsets = []
    at = header
    for part in parts:
        offsets.append(at)
        at += len(part)
    tags.append((5, _BASE + offsets[3]))
    if wanted:
        tags += [(0x6FFFFFFE, _BASE + offsets[1]), (0x6FFFFFFF, len(versions or {}))]
    if defined:
        tags += [(0x6FFFFFFC, _BASE + offsets[2]), (0x6FFFFFFD, len(defines))]
    dynamic = b"".join(struct.pack("<qQ", tag, value) for tag, value in [*tags, (0, 0)])
    total = at + len(dynamic)
    segments = [
        _segment(1, 0, _BASE, total),
        _segment(2, at, _BASE + at, len(dynamic)),
        _segment(3, offsets[0], _BASE + offsets[0], len(parts[0])) if interpreter else bytes(56),
    ]
    elf = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 3, 0, 0, 0
    )
    return elf + b"".join(segments) + b"".join(parts) + dynamic


def with_sections(*names: str) -> bytes:
    """A shared object that has section headers of these names, and nothing in them."""
    strings = _Strings()
    headers = [bytes(64), *(_section(strings.add(name), 1) for name in names)]
    own = strings.add(".shstrtab")
    at = 64 + 64 * (len(headers) + 1)
    size = len(strings.content)
    headers.append(struct.pack("<IIQQQQIIQQ", own, 3, 0, 0, at, size, 0, 0, 1, 0))
    elf = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, 64, 0, 64, 56, 0, 64, len(headers), len(headers) - 1
    )
    return elf + b"".join(headers) + bytes(strings.content)


def _section(name: int, kind: int) -> bytes:
    return struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, 0, 0, 0, 0, 1, 0)


def _segment(kind: int, offset: int, address: int, size: int) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, 4, offset, address, address, size, size, 8)


def _needed_versions(strings: _Strings, versions: Mapping[str, Sequence[str]]) -> bytes:
    found = b""
    for number, (file, names) in enumerate(versions.items()):
        size = 16 + 16 * len(names)
        following = size if number < len(versions) - 1 else 0
        found += struct.pack("<HHIII", 1, len(names), strings.add(file), 16, following)
        for position, name in enumerate(names):
            step = 16 if position < len(names) - 1 else 0
            found += struct.pack("<IHHII", 0, 0, position, strings.add(name), step)
    return found


def _defined_versions(strings: _Strings, names: Sequence[str]) -> bytes:
    found = b""
    for number, name in enumerate(names):
        following = 28 if number < len(names) - 1 else 0
        found += struct.pack("<HHHHIII", 1, 0, number, 1, 0, 20, following)
        found += struct.pack("<II", strings.add(name), 0)
    return found
