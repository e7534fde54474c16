"""One difference between two images, and the report of all of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cause:
    """A pattern that is known to make builds differ.

    `name` is one word or two to filter by, `meaning` what the pattern shows, `remedy` what to do.
    """

    name: str
    meaning: str
    remedy: str


@dataclass(frozen=True)
class Difference:
    """One difference; `left` and `right` are what each side has, as a person would write it.

    `level` is one of index, manifest, config, layer, entry, content. `where` leads there from
    the top: platform, layer, path, part of the file. `context` has lines around it.
    """

    level: str
    where: tuple[str, ...]
    what: str
    left: str
    right: str
    cause: Cause | None = None
    context: tuple[str, ...] = ()


@dataclass(frozen=True)
class Side:
    """One of the two images: what the person called it, and its digest where it has one."""

    name: str
    digest: str
    kind: str


@dataclass
class Report:
    """All differences, from the top down; `notes` are what matters and is no difference."""

    left: Side
    right: Side
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    @property
    def causes(self) -> Sequence[tuple[Cause, int]]:
        """Causes with the number of differences each may explain, the most frequent first."""
        return Counter(each.cause for each in self.differences if each.cause).most_common()
