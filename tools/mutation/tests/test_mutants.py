"""What is changed in a module, and what is left alone."""

import ast

import pytest

from tools.mutation.mutants import mutants

MODULE = '''"""A module."""

from __future__ import annotations
import logging

LIMIT = 4
PATTERN: str = "a"


def taken(size: int, data: bytes = b"", *, most: int = 3) -> int:
    """Grüße."""
    logger.info("got %d", 5)
    size += len(data)
    if size > LIMIT and data:
        raise ValueError(f"too large by {size - 4}")
    return size
'''


def changes(source: str) -> list[str]:
    return [f"{one.before} -> {one.after}" for one in mutants(source)]


def test_a_function_is_changed_where_it_decides_and_where_it_acts() -> None:
    assert changes(MODULE) == [
        "3 -> 4",
        "size += len(data) -> size -= len(data)",
        "size += len(data) -> size = len(data)",
        "size > LIMIT -> size >= LIMIT",
        "size > LIMIT and data -> (not (size > LIMIT and data))",
        "size > LIMIT and data -> (size > LIMIT or data)",
        'raise ValueError(f"too large by {size - 4}") -> pass',
        "size -> None",
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a == b", ["a == b -> a != b"]),
        ("x = a < b <= c", ["a < b <= c -> a < b < c", "a < b <= c -> a <= b <= c"]),
        ("x = a is None", ["a is None -> a is not None"]),
        ("x = a not in b", ["a not in b -> a in b"]),
        ("x = not a", ["not a -> a"]),
        ("x = a or b", ["a or b -> (a and b)"]),
        ("x = a - b * c", ["a - b * c -> (a + b * c)", "b * c -> (b // c)"]),
        ("x = 'a' + b", []),
        ("x = True", ["True -> False"]),
        ("x = 1.5", ["1.5 -> 2.5"]),
        ("x = -a", ["-a -> a"]),
        ("x = [a for a in b if a]", ["a -> (not (a))"]),
        ("x = a if b else c", ["b -> (not (b))"]),
        ("f(x)", ["f(x) -> pass"]),
        ("a.b = c", ["a.b = c -> pass"]),
        ("del a[b]", ["del a[b] -> pass"]),
        ("while a:\n    break", ["a -> (not (a))", "break -> continue"]),
        ("while True:\n    continue", ["continue -> break"]),
        ("class A:\n    b = 1", ["1 -> 2"]),
        ("def f():\n    return", []),
        ("def f():\n    return None", []),
        ("async def f():\n    await g(1)", ["1 -> 2", "await g(1) -> pass"]),
        ("if TYPE_CHECKING:\n    f(1)", []),
        ("assert a == b", []),
        ("print(1 + 2)", []),
        ("LIMIT = 1 << 4", []),
        ("type A = B[1]", []),
    ],
)
def test_a_statement_is_changed(source: str, expected: list[str]) -> None:
    assert changes(source) == sorted(expected)


def test_every_mutant_is_a_module_with_one_change_on_its_line() -> None:
    original = MODULE.splitlines()
    for one in mutants(MODULE):
        ast.parse(one.source)
        changed = one.source.splitlines()
        assert len(changed) == len(original)
        differ = [at for at, line in enumerate(changed, 1) if line != original[at - 1]]
        assert differ == [one.line]


def test_a_change_is_named_by_its_place_and_not_by_its_line() -> None:
    [inside] = mutants("class A:\n    def f(self):\n        self.x = 0 if y else z\n")[:1]
    [moved] = mutants("\n\nclass A:\n    def f(self):\n        self.x = 0 if y else z\n")[:1]
    assert inside.name == moved.name == "A.f: 0 -> 1"


def test_changes_that_read_the_same_are_told_apart_by_their_order() -> None:
    source = "def f(a):\n    g(a[0], a[0])\n    h(a[0])\n"
    names = [one.name for one in mutants(source) if one.before == "0"]
    assert names == ["f: 0 -> 1", "f: 0 -> 1 (2)", "f: 0 -> 1 (3)"]
