"""Code objects are written by value: equal code, equal bytes."""

import argparse
import asyncio.base_events
import inspect
import marshal
import types

import pytest

from rules.layers import canonical

EXOTIC = """
numbers = (1, -1, 2**31, -(2**100), 1.5, -0.0, 2j, True, None, ...)
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


def test_what_is_not_part_of_code_is_refused() -> None:
    with pytest.raises(ValueError, match=r"marshal type '\[' is not one"):
        canonical.dumps([1])  # type: ignore[arg-type]
