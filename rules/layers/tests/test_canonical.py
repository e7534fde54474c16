"""Code objects are written by value: equal code, equal bytes."""

import argparse
import asyncio.base_events
import inspect
import marshal
import struct
import types

import pytest

from rules.layers import canonical

EXOTIC = """
numbers = (1, -1, 2147483648, -123_456_789_012_345_678_901, 1.5, -0.0, 2j, True, None, ...)
texts = ("plain", "not plain!", "ümläut", "x" * 300, b"bytes", "")
members = {"a", "b"} if numbers in {("a", 1), frozenset()} else 1 in {1, 2, 3}
def outer(a, /, b, *c, d=1, **e):
    def inner(): return a, b
    return inner, lambda: "plain" in texts
class C[T]:
    x: T
    async def f(self): yield [y async for y in self]
"""


def code(source: str) -> types.CodeType:
    return compile(source, "/app/m.py", "exec", dont_inherit=True)


@pytest.mark.parametrize("module", [argparse, asyncio.base_events])
def test_what_is_read_back_is_what_went_in(module: types.ModuleType) -> None:
    original = code(inspect.getsource(module))

    assert marshal.loads(canonical.dumps(original)) == original


def test_every_kind_of_constant_is_read_back() -> None:
    original = code(EXOTIC)

    assert marshal.loads(canonical.dumps(original)) == original


def test_a_code_object_from_a_file_has_the_bytes_of_a_compiled_one() -> None:
    original = code(EXOTIC)
    # Objects that were read share otherwise than objects that were compiled.
    again = marshal.loads(marshal.dumps(original))

    assert canonical.dumps(again) == canonical.dumps(original)


def test_sharing_makes_it_no_larger_than_the_interpreters_own() -> None:
    original = code(inspect.getsource(argparse))

    assert len(canonical.dumps(original)) <= len(marshal.dumps(original))


def test_an_empty_tuple_is_smaller_than_a_reference_and_is_not_shared() -> None:
    empty = bytes((ord(")"), 0))

    found = canonical.dumps(code("lambda: (lambda: ())"))

    assert found.count(empty) > 1
    assert bytes((ord(")") | 0x80, 0)) not in found


def test_what_is_not_part_of_code_is_refused() -> None:
    with pytest.raises(ValueError, match=r"marshal type '\[' is not one"):
        canonical.dumps([1])  # type: ignore[arg-type]


def number(value: int) -> bytes:
    return struct.pack("<Bi", ord("i"), value)


# CPython 3.13, Python/marshal.c: types, and 0x80 on an object that references name.
@pytest.mark.parametrize(
    ("value", "written"),
    [
        # A reference would be as long as the number.
        ((7, 7), b")\x02" + number(7) * 2),
        ((b"", b""), b")\x02" + b"s\0\0\0\0" * 2),
        ((b"x",), b")\x01" + b"s\1\0\0\0x"),
        ((b"x", b"x", b"x"), b")\x03" + b"\xf3\1\0\0\0x" + b"r\0\0\0\0" * 2),
        (((1,), 1, (1,)), b")\x03" + b"\xa9\x01" + number(1) + number(1) + b"r\0\0\0\0"),
        (
            ("a b", "c d", "c d", "a b"),
            b")\x04" + b"\xfa\x03a b" + b"\xfa\x03c d" + b"r\1\0\0\0" + b"r\0\0\0\0",
        ),
        (("x" * 255,), b")\x01" + b"z\xff" + b"x" * 255),
        (("x" * 256,), b")\x01" + b"a\0\1\0\0" + b"x" * 256),
        (("\xfc",), b")\x01" + b"u\2\0\0\0" + b"\xc3\xbc"),
        ((1,) * 255, b")\xff" + number(1) * 255),
        ((1,) * 256, b"(\0\1\0\0" + number(1) * 256),
        (frozenset({1}), b">\1\0\0\0" + number(1)),
    ],
    ids=lambda one: None if isinstance(one, bytes) else repr(one)[:20],
)
def test_a_value_has_these_bytes(value: object, written: bytes) -> None:
    assert canonical.dumps(value) == written  # type: ignore[arg-type]
    assert marshal.loads(written) == value


def test_equal_functions_stay_two() -> None:
    one, other = code("def f(): return 1000\n"), code("def f(): return 1000\n")

    read = marshal.loads(canonical.dumps((one, other)))  # type: ignore[arg-type]

    assert read == (one, other)
    assert read[0] is not read[1]
