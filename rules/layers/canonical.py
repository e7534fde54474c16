"""Marshals code objects so that the bytes follow from their value alone.

`marshal.dumps` shares an object that occurs twice only if both are the very same object, and marks
one as shared by its reference count: both depend on what else the process has imported. Version 2
of the format knows neither sharing nor interned texts, so its bytes follow from the value; they are
read here and written again as version 4, sharing by value. The formats are those of CPython 3.13,
Python/marshal.c.
"""

import marshal
import struct
import types
from collections import Counter

_FLAG_REF = 0x80
_REF = ord("r")
_REFERENCE = 5
_TUPLE, _FROZENSET = ord("("), ord(">")
_BYTES, _TEXT = ord("s"), ord("u")
_CODE = ord("c")
_LONG = ord("l")
# Bytes after the type, of objects that have no parts and no count.
_FIXED = {**dict.fromkeys(b"NTF.", 0), ord("i"): 4, ord("g"): 8, ord("y"): 16}
# Of a code object: five counts, the code itself, six objects, a line number, two byte strings.
_COUNTS = 20
_LINE = 4
_BEFORE_LINE, _AFTER_LINE = 8, 2


class _Reader:
    """Where each object ends, in the order in which they start, and how often each value occurs.

    `following` is the number of the object after an object and its parts.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.ends: list[int] = []
        self.following: list[int] = []
        self.counts: Counter[bytes] = Counter()

    def read(self, start: int) -> int:
        """Reads one object and returns where it ends."""
        data, number = self._data, len(self.ends)
        self.ends.append(0)
        self.following.append(0)
        kind, end = data[start], start + 1
        if kind in (_TEXT, _BYTES):
            end += 4 + int.from_bytes(data[end : end + 4], "little")
        elif (size := _FIXED.get(kind)) is not None:
            end += size
        elif kind in (_TUPLE, _FROZENSET):
            count = int.from_bytes(data[end : end + 4], "little")
            end += 4
            for _ in range(count):
                end = self.read(end)
        elif kind == _CODE:
            end += _COUNTS
            for _ in range(_BEFORE_LINE):
                end = self.read(end)
            end += _LINE
            for _ in range(_AFTER_LINE):
                end = self.read(end)
        elif kind == _LONG:
            end += 4 + 2 * abs(int.from_bytes(data[end : end + 4], "little", signed=True))
        else:
            raise ValueError(f"marshal type {chr(kind)!r} is not one that code objects hold")
        self.ends[number] = end
        self.following[number] = len(self.ends)
        if _is_shareable(kind, end - start):
            self.counts[data[start:end]] += 1
        return end


class _Writer:
    def __init__(self, data: bytes, reader: _Reader) -> None:
        self._data = data
        self._ends, self._following = reader.ends, reader.following
        self._counts = reader.counts
        self._places: dict[bytes, int] = {}
        self._number = 0
        self.out = bytearray()

    def write(self, start: int) -> int:
        """Writes one object again and returns where it ended."""
        data, number = self._data, self._number
        end = self._ends[number]
        kind, flag = data[start], 0
        if _is_shareable(kind, end - start):
            whole = data[start:end]
            if self._counts[whole] > 1:
                place = self._places.get(whole)
                if place is not None:
                    self.out += struct.pack("<BI", _REF, place)
                    self._number = self._following[number]
                    return end
                # The reader numbers an object when it starts, before its parts.
                self._places[whole] = len(self._places)
                flag = _FLAG_REF
        self._number = number + 1
        if kind == _TEXT:
            self._text(flag, data[start + 5 : end])
        elif kind in (_TUPLE, _FROZENSET):
            self._sequence(kind, flag, start)
        elif kind == _CODE:
            self._code(start)
        else:
            self.out.append(kind | flag)
            self.out += data[start + 1 : end]
        return end

    def _sequence(self, kind: int, flag: int, start: int) -> None:
        size = self._data[start + 1 : start + 5]
        count = int.from_bytes(size, "little")
        if kind == _TUPLE and count < 256:
            self.out += bytes((ord(")") | flag, count))
        else:
            self.out.append(kind | flag)
            self.out += size
        start += 5
        for _ in range(count):
            start = self.write(start)

    def _code(self, start: int) -> None:
        self.out += self._data[start : start + 1 + _COUNTS]
        start += 1 + _COUNTS
        for _ in range(_BEFORE_LINE):
            start = self.write(start)
        self.out += self._data[start : start + _LINE]
        start += _LINE
        for _ in range(_AFTER_LINE):
            start = self.write(start)

    def _text(self, flag: int, text: bytes) -> None:
        if not text.isascii():
            self.out += struct.pack("<BI", _TEXT | flag, len(text))
        elif len(text) < 256:
            self.out += bytes((ord("z") | flag, len(text)))
        else:
            self.out += struct.pack("<BI", ord("a") | flag, len(text))
        self.out += text


def _is_shareable(kind: int, size: int) -> bool:
    """Whether a reference takes its place: that has five bytes; code keeps its identity."""
    return kind != _CODE and size > _REFERENCE


def dumps(code: types.CodeType) -> bytes:
    """The bytes of a code object that `marshal.loads` of CPython 3.13 reads.

    Raises `ValueError` for what the compiler makes no constant of.
    """
    data = marshal.dumps(code, 2)
    reader = _Reader(data)
    reader.read(0)
    writer = _Writer(data, reader)
    writer.write(0)
    return bytes(writer.out)
