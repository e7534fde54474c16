"""Sections of an ELF file (System V ABI, chapter 4)."""

import struct
from collections.abc import Mapping


def is_elf(content: bytes) -> bool:
    """Whether the file starts as one does."""
    return content[:4] == b"\x7fELF"


def sections(content: bytes) -> Mapping[str, bytes]:
    """Contents by name; a second one of a name is NAME#2. Raises `ValueError`."""
    try:
        return _sections(content)
    except (struct.error, IndexError) as error:
        raise ValueError(f"its section headers are broken: {error}") from error


def _sections(content: bytes) -> Mapping[str, bytes]:
    order = {1: "<", 2: ">"}.get(content[5])
    wide = {1: False, 2: True}.get(content[4])
    if order is None or wide is None:
        raise ValueError("its class or its byte order is none that there is")
    if wide:
        offset = struct.unpack_from(f"{order}Q", content, 0x28)[0]
        size, count, names = struct.unpack_from(f"{order}HHH", content, 0x3A)
        layout = f"{order}IIQQQQ"
    else:
        offset = struct.unpack_from(f"{order}I", content, 0x20)[0]
        size, count, names = struct.unpack_from(f"{order}HHH", content, 0x2E)
        layout = f"{order}IIIIII"
    headers = [struct.unpack_from(layout, content, offset + size * each) for each in range(count)]
    if not headers:
        return {}
    strings = _bytes(content, headers[names])
    found: dict[str, bytes] = {}
    for header in headers[1:]:
        name = strings[header[0] :].partition(b"\0")[0].decode("latin-1") or "(no name)"
        key, repeated = name, 1
        while key in found:
            repeated += 1
            key = f"{name}#{repeated}"
        found[key] = _bytes(content, header)
    return found


def _bytes(content: bytes, header: tuple[int, ...]) -> bytes:
    _, kind, _, _, offset, size = header
    # SHT_NOBITS takes no room in the file.
    return b"" if kind == 8 else content[offset : offset + size]
