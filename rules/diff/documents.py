"""What differs between two JSON documents, value by value."""

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from rules.diff import cause, shown
from rules.diff.difference import Cause

_NOTHING = "(none)"

type Row = tuple[str, str, str, str, Cause | None]


def differences(left: Any, right: Any, one: bytes, other: bytes) -> Iterator[Row]:
    """Rows of path, what, both values, and a cause, from the values and the bytes they came from.

    What is equal in value and not in bytes is one row of its own.
    """
    rows = list(values("", left, right))
    yield from rows
    if not rows and one != other:
        at = shown.common_prefix(one, other)
        a, b = shown.hexadecimal(one, at), shown.hexadecimal(other, at)
        yield "", f"form, from byte {at}: same values, other spaces or escapes", a, b, cause.WRITER


def values(path: str, left: Any, right: Any) -> Iterator[Row]:
    """What differs between two values at a path such as `config.Env[2]`."""
    if isinstance(left, dict) and isinstance(right, dict):
        yield from _objects(path, left, right)
    elif isinstance(left, list) and isinstance(right, list):
        yield from _lists(path, left, right)
    elif left != right or type(left) is not type(right):
        one, other = _text(left), _text(right)
        yield path, "value", *shown.pair(one, other), cause.of_text(one, other)


def _objects(path: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[Row]:
    for key in dict.fromkeys([*left, *right]):
        inner = f"{path}.{key}" if path else key
        if key not in right:
            yield inner, "key", shown.window(_text(left[key]), 0), _NOTHING, None
        elif key not in left:
            yield inner, "key", _NOTHING, shown.window(_text(right[key]), 0), None
        else:
            yield from values(inner, left[key], right[key])
    one, other = list(left), list(right)
    if one != other and sorted(one) == sorted(other):
        at = shown.common_prefix(one, other)
        yield path, "order of keys", one[at], other[at], cause.of_order(one, other)


def _lists(path: str, left: Sequence[Any], right: Sequence[Any]) -> Iterator[Row]:
    one = [json.dumps(each, sort_keys=True) for each in left]
    other = [json.dumps(each, sort_keys=True) for each in right]
    if one != other and sorted(one) == sorted(other):
        at = shown.common_prefix(one, other)
        guess = cause.of_order(one, other)
        yield f"{path}[{at}]", "order of elements", *shown.pair(one[at], other[at]), guess
        return
    if len(one) == len(other):
        for number, (first, second) in enumerate(zip(left, right, strict=True)):
            yield from values(f"{path}[{number}]", first, second)
        return
    for tag, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        for number in range(max(b - a, d - c)):
            first = one[a + number] if a + number < b else _NOTHING
            second = other[c + number] if c + number < d else _NOTHING
            yield f"{path}[{a + number}]", "element", *shown.pair(first, second), None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
