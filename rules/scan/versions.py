"""Versions in the order of the ecosystem that they are of."""

from collections.abc import Callable
from typing import Any

from debian.debian_support import Version as DebianVersion
from packaging.version import InvalidVersion, Version

# What OSV writes for the time before every version.
BEGINNING = "0"


class UncomparableError(Exception):
    """A version that its ecosystem's order does not know."""


def _python(text: str) -> Any:
    try:
        return Version(text)
    except InvalidVersion as error:
        raise UncomparableError(str(error)) from None


def _debian(text: str) -> Any:
    try:
        return DebianVersion(text)
    except ValueError as error:
        raise UncomparableError(str(error)) from None


_ORDERS: dict[str, Callable[[str], Any]] = {"Debian": _debian, "PyPI": _python}


def compare(ecosystem: str, left: str, right: str) -> int:
    """Below, at or above 0 as the left version is older than, the same as or newer than the right.

    Raises `UncomparableError` for a version that is none.

    >>> compare("PyPI", "1.0rc1", "1.0"), compare("PyPI", "1!0.1", "9"), compare("PyPI", "1.0", "1")
    (-1, 1, 0)
    >>> compare("Debian", "1.0~rc1-1", "1.0-1"), compare("Debian", "1:0.1-1", "9-1")
    (-1, 1)
    """
    order = _ORDERS[ecosystem]
    one, other = order(left), order(right)
    return int(one > other) - int(one < other)
