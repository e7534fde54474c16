"""How values and pieces of content are shown: short, on one line, the difference in view."""

from collections.abc import Sequence

_WIDTH = 120
_BEFORE = 40


def common_prefix(left: Sequence[object], right: Sequence[object]) -> int:
    """How many elements are equal from the start."""
    low, high = 0, min(len(left), len(right))
    if left[:high] == right[:high]:
        return high
    # Slices compare in C, which a loop over bytes does not.
    while low < high:
        middle = (low + high + 1) // 2
        if left[:middle] == right[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def window(text: str, at: int) -> str:
    """A part of a long line around a column, with control characters made visible."""
    start = max(0, at - _BEFORE) if len(text) > _WIDTH else 0
    part = text[start : start + _WIDTH]
    shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in part)
    return f"{'…' if start else ''}{shown}{'…' if start + _WIDTH < len(text) else ''}"


def pair(left: str, right: str) -> tuple[str, str]:
    """Two long texts, cut to where they first differ."""
    at = common_prefix(left, right)
    return window(left, at), window(right, at)


def hexadecimal(content: bytes, at: int) -> str:
    """16 bytes from an offset as hex and letters, as `xxd` shows them."""
    part = content[at : at + 16]
    letters = "".join(chr(each) if 32 <= each < 127 else "." for each in part)
    return f"{part.hex(' ', 2)}  {letters}" if part else "(ends before)"


def strings_around(content: bytes, at: int) -> str:
    """The printable string that a byte of a binary belongs to, if there is one."""
    start, end = at, at
    while start > 0 and at - start < 400 and 32 <= content[start - 1] < 127:
        start -= 1
    while end < len(content) and end - at < 400 and 32 <= content[end] < 127:
        end += 1
    return content[start:end].decode("ascii") if end - start >= 4 else ""
