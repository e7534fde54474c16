"""Byte-code of CPython 3.13, read without running or trusting it (PEP 552, Python/marshal.c).

`marshal.loads` may crash on bytes that were made to do so, and images come from strangers.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Lib/importlib/_bootstrap_external.py of 3.13.
MAGIC = (3571).to_bytes(2, "little") + b"\r\n"
_DEPTH = 200
_ATOMS: Mapping[str, Any] = {"N": None, "F": False, "T": True, ".": ..., "0": None}
_FIELDS = (
    *("argcount", "posonlyargcount", "kwonlyargcount", "stacksize", "flags", "code", "consts"),
    *("names", "localsplusnames", "localspluskinds", "filename", "name", "qualname"),
    *("firstlineno", "linetable", "exceptiontable"),
)
_NUMBERS = frozenset({*_FIELDS[:5], "firstlineno"})


@dataclass(frozen=True)
class Code:
    """A code object: its fields by the names they have without `co_`."""

    fields: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The qualified name, as in a traceback."""
        return str(self.fields["qualname"])


@dataclass(frozen=True)
class Set:
    """A frozenset, in the order of the file."""

    items: tuple[Any, ...]


@dataclass(frozen=True)
class Module:
    """A .pyc file: how it is found to be stale, in words, and its code."""

    validation: str
    code: Code


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._references: list[Any] = []

    def _take(self, size: int) -> bytes:
        if size < 0 or self._at + size > len(self._data):
            raise ValueError("it ends too early")
        self._at += size
        return self._data[self._at - size : self._at]

    def _long(self) -> int:
        return int(struct.unpack("<i", self._take(4))[0])

    def read(self, depth: int = 0) -> Any:
        if depth > _DEPTH:
            raise ValueError("it is nested too deep")
        first = self._take(1)[0]
        kind = chr(first & 0x7F)
        if kind == "r":
            number = self._long()
            if not 0 <= number < len(self._references):
                raise ValueError("a reference points nowhere")
            return self._references[number]
        place = None
        if first & 0x80:
            place = len(self._references)
            self._references.append(None)
        value = self._value(kind, depth)
        if place is not None:
            self._references[place] = value
        return value

    def _value(self, kind: str, depth: int) -> Any:
        if kind in _ATOMS:
            return _ATOMS[kind]
        if kind in "()<>":
            count = self._take(1)[0] if kind == ")" else self._long()
            items = tuple(self.read(depth + 1) for _ in range(count))
            return Set(items) if kind in "<>" else items
        if kind in "sutaAzZ":
            content = self._take(self._take(1)[0] if kind in "zZ" else self._long())
            if kind == "s":
                return content
            return content.decode("utf-8" if kind in "ut" else "latin-1", "surrogatepass")
        if kind == "c":
            return self._code(depth)
        return self._scalar(kind)

    def _scalar(self, kind: str) -> Any:
        match kind:
            case "i":
                return self._long()
            case "l":
                return self._integer()
            case "g":
                return struct.unpack("<d", self._take(8))[0]
            case "y":
                return complex(*struct.unpack("<dd", self._take(16)))
        raise ValueError(f"marshal type {kind!r} is not one that code objects hold")

    def _integer(self) -> int:
        count = self._long()
        digits = struct.unpack(f"<{abs(count)}H", self._take(2 * abs(count)))
        value = sum(int(digit) << (15 * place) for place, digit in enumerate(digits))
        return -value if count < 0 else value

    def _code(self, depth: int) -> Code:
        return Code(
            {name: self._long() if name in _NUMBERS else self.read(depth + 1) for name in _FIELDS}
        )


def read(content: bytes) -> Module:
    """Reads a .pyc file; raises `ValueError` for what is none of CPython 3.13."""
    if content[:4] != MAGIC:
        raise ValueError(f"expected the magic number {MAGIC.hex()}, got {content[:4].hex()}")
    code = _Reader(content[16:]).read()
    if not isinstance(code, Code):
        raise ValueError("expected a code object")  # noqa: TRY004 - the bytes are wrong
    return Module(validation(content), code)


def validation(content: bytes) -> str:
    """How the file is found to be stale, as its header says (PEP 552)."""
    flags, first, second = struct.unpack_from("<III", content.ljust(16, b"\0"), 4)
    if flags & 1:
        return f"{'checked' if flags & 2 else 'unchecked'} hash {content[8:16].hex()}"
    return f"source's time {first} and size {second}"


def differences(left: Code, right: Code) -> Iterator[tuple[str, str, Any, Any]]:
    """Pairs of code objects that differ: name, field, and both values; inner ones by themselves."""
    for field in _FIELDS:
        one, other = left.fields[field], right.fields[field]
        if one == other and _ordered(one) == _ordered(other):
            continue
        if field != "consts":
            yield left.name, field, one, other
            continue
        inner = [each for each in one if isinstance(each, Code)]
        outer = [each for each in other if isinstance(each, Code)]
        if [each.name for each in inner] == [each.name for each in outer]:
            for first, second in zip(inner, outer, strict=True):
                yield from differences(first, second)
            one, other = _plain(one), _plain(other)
        if one != other or _ordered(one) != _ordered(other):
            yield left.name, field, one, other


def _plain(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple("code" if isinstance(each, Code) else each for each in values)


def _ordered(value: Any) -> str:
    """The value with its types: 1 and True are equal, and so are 0.0 and -0.0."""
    return repr(value)
