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
from typing import Any

_SIZE = struct.Struct("<I").unpack_from
_FLAG_REF = 0x80
_REF = ord("r")
_REFERENCE = 5
_TUPLE, _TEXT = ord("("), ord("u")
_SEQUENCES = frozenset(b"(>")
_COUNTED = frozenset(b"su")
_CODE = ord("c")
_LONG = ord("l")
# Bytes after the type, of objects that have no parts and no count.
_FIXED = {**dict.fromkeys(b"NTF.", 0), ord("i"): 4, ord("g"): 8, ord("y"): 16}
# Of a code object: five counts, the code itself, six objects, a line number, two byte strings.
_COUNTS = 20
_LINE = 4
_BEFORE_LINE, _AFTER_LINE = 8, 2


class _Copy:
    """Objects written again, in chunks; an object that was there before is the first one's place.

    A place is an index among the chunks, of the one that begins with the object's type.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._chunks: list[bytes | int] = []
        self._firsts: dict[bytes, int] = {}
        self._repeated: set[int] = set()
        # Where repetitions stand among the chunks, in order.
        self._repetitions: list[int] = []

    def objects(self, start: int, count: int) -> int:
        """Copies so many objects, one after another, and returns where the last one ended."""
        # Most of them have no parts: they are dealt with here, without a call for each.
        data, chunks, firsts = self._data, self._chunks, self._firsts
        fixed, size_of = _FIXED, _SIZE
        end = start
        for _ in range(count):
            start = end
            kind, end = data[start], start + 1
            if kind in _COUNTED:
                end += 4 + size_of(data, end)[0]
            elif kind in fixed:
                end += fixed[kind]
            elif kind in _SEQUENCES:
                end = self._sequence(kind, start)
                continue
            elif kind == _CODE:
                end = self._code(start)
                continue
            elif kind == _LONG:
                end += 4 + 2 * abs(int.from_bytes(data[end : end + 4], "little", signed=True))
            else:
                raise ValueError(f"marshal type {chr(kind)!r} is not one that code objects hold")
            whole = data[start:end]
            # A reference takes its place, which has five bytes.
            if end - start > _REFERENCE:
                here = len(chunks)
                place = firsts.setdefault(whole, here)
                if place != here:
                    self._repeated.add(place)
                    self._repetitions.append(here)
                    chunks.append(place)
                    continue
            chunks.append(_text(whole[5:]) if kind == _TEXT else whole)
        return end

    def _sequence(self, kind: int, start: int) -> int:
        place, end = len(self._chunks), start + 5
        size = self._data[start + 1 : end]
        count = int.from_bytes(size, "little")
        short = kind == _TUPLE and count < 256
        self._chunks.append(bytes((ord(")"), count)) if short else bytes((kind,)) + size)
        end = self.objects(end, count)
        if end - start > _REFERENCE:
            first = self._firsts.setdefault(self._data[start:end], place)
            if first != place:
                self._repeated.add(first)
                # No part of it is a first one.
                self._chunks[place:] = [first]
                while self._repetitions and self._repetitions[-1] > place:
                    self._repetitions.pop()
                self._repetitions.append(place)
        return end

    def _code(self, start: int) -> int:
        # Code keeps its identity: it is no other's repetition.
        end = start + 1 + _COUNTS
        self._chunks.append(self._data[start:end])
        end = self.objects(end, _BEFORE_LINE)
        self._chunks.append(self._data[end : end + _LINE])
        return self.objects(end + _LINE, _AFTER_LINE)

    def joined(self) -> bytes:
        """All of it; what is repeated is marked, and its repetitions refer to it."""
        chunks: list[Any] = self._chunks
        # The reader numbers an object when it starts, before its parts.
        references = {}
        for number, place in enumerate(sorted(self._repeated)):
            references[place] = struct.pack("<BI", _REF, number)
            first = chunks[place]
            chunks[place] = bytes((first[0] | _FLAG_REF,)) + first[1:]
        for place in self._repetitions:
            chunks[place] = references[chunks[place]]
        return b"".join(chunks)


def _text(text: bytes) -> bytes:
    if not text.isascii():
        return struct.pack("<BI", _TEXT, len(text)) + text
    if len(text) < 256:
        return bytes((ord("z"), len(text))) + text
    return struct.pack("<BI", ord("a"), len(text)) + text


def dumps(code: types.CodeType) -> bytes:
    """The bytes of a code object that `marshal.loads` of CPython 3.13 reads.

    Raises `ValueError` for what the compiler makes no constant of.
    """
    copy = _Copy(marshal.dumps(code, 2))
    copy.objects(0, 1)
    return copy.joined()
