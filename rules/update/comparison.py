"""What an update changes in the image of one CPU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rules.update.change import Change
from rules.update.image import Image


@dataclass(frozen=True)
class Difference:
    """From one image to another; `sizes` are bytes before and after by the layer's label.

    `licences` and `sizes` hold what changed only.
    """

    packages: tuple[Change, ...]
    sizes: Mapping[str, tuple[int, int]]
    appeared: tuple[str, ...]
    gone: tuple[str, ...]
    changed: tuple[str, ...]
    licences: tuple[Change, ...]
    fixed: tuple[str, ...] = ()
    new_advisories: tuple[str, ...] = ()


def compare(
    old: Image, new: Image, before: Sequence[str] = (), after: Sequence[str] = ()
) -> Difference:
    """The difference; `before` and `after` are the advisories about either."""
    both = old.licences.keys() & new.licences.keys()
    return Difference(
        packages=_changes(old.packages, new.packages),
        sizes={
            layer: (old.layers.get(layer, 0), new.layers.get(layer, 0))
            for layer in {**old.layers, **new.layers}
            if old.layers.get(layer) != new.layers.get(layer)
        },
        appeared=tuple(sorted(new.files.keys() - old.files.keys())),
        gone=tuple(sorted(old.files.keys() - new.files.keys())),
        changed=tuple(
            path
            for path in sorted(old.files.keys() & new.files.keys())
            if old.files[path] != new.files[path]
        ),
        licences=_changes(
            {key: old.licences[key] for key in both}, {key: new.licences[key] for key in both}
        ),
        fixed=tuple(sorted(set(before) - set(after))),
        new_advisories=tuple(sorted(set(after) - set(before))),
    )


def _changes(
    old: Mapping[tuple[str, str], str], new: Mapping[tuple[str, str], str]
) -> tuple[Change, ...]:
    return tuple(
        Change(*key, old.get(key, ""), new.get(key, ""))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    )
