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

_SIZE = struct.Struct("<I").unpack_from
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


class _Copy:
    """Objects written again, in chunks; an object that was there before is the first one's place.

    A place is an index among the chunks, of the one that begins with the object's type.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._chunks: list[bytes | int] = []
        self._firsts: dict[bytes, int] = {}
        self._repeated: set[int] = set()

    def object(self, start: int) -> int:
        """Copies one object and returns where it ended."""
        data = self._data
        kind, end = data[start], start + 1
        if kind in (_TEXT, _BYTES):
            end += 4 + _SIZE(data, end)[0]
        elif kind in (_TUPLE, _FROZENSET):
            return self._sequence(kind, start)
        elif kind == _CODE:
            return self._code(start)
        elif (size := _FIXED.get(kind)) is not None:
            end += size
        elif kind == _LONG:
            end += 4 + 2 * abs(int.from_bytes(data[end : end + 4], "little", signed=True))
        else:
            raise ValueError(f"marshal type {chr(kind)!r} is not one that code objects hold")
        whole = data[start:end]
        # A reference takes its place, which has five bytes.
        if end - start > _REFERENCE:
            chunks = self._chunks
            here = len(chunks)
            place = self._firsts.setdefault(whole, here)
            if place != here:
                self._repeated.add(place)
                chunks.append(place)
                return end
        self._chunks.append(_text(whole[5:]) if kind == _TEXT else whole)
        return end

    def _sequence(self, kind: int, start: int) -> int:
        place, end = len(self._chunks), start + 5
        size = self._data[start + 1 : end]
        count = int.from_bytes(size, "little")
        short = kind == _TUPLE and count < 256
        self._chunks.append(bytes((ord(")"), count)) if short else bytes((kind,)) + size)
        for _ in range(count):
            end = self.object(end)
        if end - start > _REFERENCE:
            first = self._firsts.setdefault(self._data[start:end], place)
            if first != place:
                self._repeated.add(first)
                # No part of it is a first one.
                self._chunks[place:] = [first]
        return end

    def _code(self, start: int) -> int:
        # Code keeps its identity: it is no other's repetition.
        end = start + 1 + _COUNTS
        self._chunks.append(self._data[start:end])
        for _ in range(_BEFORE_LINE):
            end = self.object(end)
        self._chunks.append(self._data[end : end + _LINE])
        end += _LINE
        for _ in range(_AFTER_LINE):
            end = self.object(end)
        return end

    def joined(self) -> bytes:
        """All of it; what is repeated is marked, and its repetitions refer to it."""
        # The reader numbers an object when it starts, before its parts.
        numbers = {place: number for number, place in enumerate(sorted(self._repeated))}
        references = {place: struct.pack("<BI", _REF, number) for place, number in numbers.items()}
        found = []
        for place, chunk in enumerate(self._chunks):
            if isinstance(chunk, int):
                found.append(references[chunk])
            elif place in references:
                found.append(bytes((chunk[0] | _FLAG_REF,)) + chunk[1:])
            else:
                found.append(chunk)
        return b"".join(found)


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
    copy.object(0)
    return copy.joined()
