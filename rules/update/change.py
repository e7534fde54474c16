"""One change of a package, wherever it was seen: in a lock, or in an image."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Change:
    """A package at another version; "" for `old` or `new` where it comes or goes."""

    ecosystem: str
    name: str
    old: str
    new: str

    def __str__(self) -> str:
        if self.old and self.new:
            return f"{self.name} {self.old} -> {self.new}"
        return f"{self.name} {self.new} (new)" if self.new else f"{self.name} {self.old} (gone)"
