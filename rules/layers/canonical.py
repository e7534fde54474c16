"""Marshals code objects so that the bytes follow from their value alone.

`marshal.dumps` shares an object that occurs twice only if both are the very same object, and marks
one as shared by its reference count: both depend on what else the process has imported. Version 2
of the format knows no sharing, so its bytes follow from the value; they are read here and written
again as version 4, sharing by value. The formats are those of CPython 3.13, Python/marshal.c.
"""

import marshal
import struct
import types
from collections import Counter
from dataclasses import dataclass

_FLAG_REF = 0x80
_REF = ord("r")
_ATOMS = frozenset(b"NTF.")
_FIXED = {ord("i"): 4, ord("g"): 8, ord("y"): 16}
_COUNTED = frozenset(b"sut")
_SEQUENCES = frozenset(b"(>")
_CODE = ord("c")
_LONG = ord("l")
# Of a code object: five counts, the code itself, six objects, a line number, two byte strings.
_CODE_LAYOUT = (4, 4, 4, 4, 4, None, None, None, None, None, None, None, None, 4, None, None)


@dataclass(slots=True)
class _Object:
    """One marshalled object: its type, all its bytes in version 2, and its parts."""

    kind: int
    whole: bytes
    parts: list["_Object | bytes"]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0
        self.counts: Counter[bytes] = Counter()

    def _take(self, size: int) -> bytes:
        start = self._offset
        self._offset += size
        return self._data[start : self._offset]

    def _number(self) -> int:
        return int(struct.unpack("<i", self._take(4))[0])

    def read(self) -> _Object:
        start = self._offset
        kind = self._data[start]
        self._offset += 1
        parts: list[_Object | bytes] = []
        if kind in _COUNTED:
            parts = [self._take(self._number())]
        elif kind in _FIXED:
            parts = [self._take(_FIXED[kind])]
        elif kind in _SEQUENCES:
            parts = [self.read() for _ in range(self._number())]
        elif kind == _CODE:
            parts = [self._take(size) if size else self.read() for size in _CODE_LAYOUT]
        elif kind == _LONG:
            digits = self._take(4)
            parts = [digits + self._take(2 * abs(struct.unpack("<i", digits)[0]))]
        elif kind not in _ATOMS:
            raise ValueError(f"marshal type {chr(kind)!r} is not one that code objects hold")
        found = _Object(kind, self._data[start : self._offset], parts)
        self.counts[found.whole] += 1
        return found


class _Writer:
    def __init__(self, counts: Counter[bytes]) -> None:
        self._counts = counts
        self._places: dict[bytes, int] = {}
        self.out = bytearray()

    def write(self, found: _Object) -> None:
        flag = 0
        # A reference has five bytes; code objects keep their identity.
        if self._counts[found.whole] > 1 and len(found.whole) > 5 and found.kind != _CODE:
            place = self._places.get(found.whole)
            if place is not None:
                self.out += struct.pack("<BI", _REF, place)
                return
            # The reader numbers an object when it starts, before its parts.
            self._places[found.whole] = len(self._places)
            flag = _FLAG_REF
        if found.kind in b"ut":
            self._text(found, flag)
            return
        if found.kind == ord("(") and len(found.parts) < 256:
            self.out += bytes((ord(")") | flag, len(found.parts)))
        elif found.kind in _SEQUENCES:
            self.out += struct.pack("<BI", found.kind | flag, len(found.parts))
        elif found.kind == ord("s"):
            self.out += struct.pack("<BI", found.kind | flag, len(found.whole) - 5)
        else:
            self.out.append(found.kind | flag)
        for part in found.parts:
            if isinstance(part, bytes):
                self.out += part
            else:
                self.write(part)

    def _text(self, found: _Object, flag: int) -> None:
        text = found.whole[5:]
        interned = found.kind == ord("t")
        if not text.isascii():
            self.out += struct.pack("<BI", found.kind | flag, len(text))
        elif len(text) < 256:
            self.out += bytes((ord("Z" if interned else "z") | flag, len(text)))
        else:
            self.out += struct.pack("<BI", ord("A" if interned else "a") | flag, len(text))
        self.out += text


def dumps(code: types.CodeType) -> bytes:
    """The bytes of a code object that `marshal.loads` of CPython 3.13 reads.

    Raises `ValueError` for what the compiler makes no constant of.
    """
    reader = _Reader(marshal.dumps(code, 2))
    found = reader.read()
    writer = _Writer(reader.counts)
    writer.write(found)
    return bytes(writer.out)
