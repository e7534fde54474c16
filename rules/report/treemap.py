"""Rectangles whose areas are in proportion to sizes."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float


def fill(box: Box, sizes: Sequence[int]) -> list[Box]:
    """A rectangle for each size, in their order, which together fill the box.

    The sizes are cut in two halves of about equal weight, the longer side of the box with them, and
    again: areas keep their order, and no rectangle is much longer than wide.
    """
    if len(sizes) < 2:
        return [box] * len(sizes)
    total = sum(sizes)
    if not total:
        return [Box(box.x, box.y, 0, 0)] * len(sizes)
    cut = min(range(1, len(sizes)), key=lambda at: abs(2 * sum(sizes[:at]) - total))
    share = sum(sizes[:cut]) / total
    if box.width >= box.height:
        first = Box(box.x, box.y, box.width * share, box.height)
        second = Box(box.x + first.width, box.y, box.width - first.width, box.height)
    else:
        first = Box(box.x, box.y, box.width, box.height * share)
        second = Box(box.x, box.y + first.height, box.width, box.height - first.height)
    return [*fill(first, sizes[:cut]), *fill(second, sizes[cut:])]
