"""Figures of a comparison, and what a page says of them: a table, the commands, and a plot."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any

from bench import machine
from bench.figures import Ratio
from bench.rows import ROWS, Row

_NOT_MEASURED = "-"
# Of fewer rounds, quartiles lie close together by chance.
_LEAST_ROUNDS = 4
_COLOURS = ("#0b6e99", "#c2410c", "#4d7c0f", "#7e22ce")
_WIDTH, _LEFT, _BAR, _GAP, _HEAD = 760, 270, 14, 12, 70
# A bar that would be longer is cut off: its figure stands beside it.
_LONGEST = 3.0


@dataclass
class Figures:
    """All that was measured in a run.

    Attributes:
        contenders: who built, the own build first.
        versions: of their programs.
        machine: CPUs, processor, kernel, and the load at the beginning and the end.
        rows: by row and contender, the figures of the rounds, in their order.
        notes: by row, why it was not measured.
    """

    contenders: list[str]
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def add(self, row: str, contender: str, figure: float) -> None:
        """Enters a figure."""
        self.rows.setdefault(row, {}).setdefault(contender, []).append(figure)

    def dumps(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def loads(cls, text: str) -> "Figures":
        """What `dumps` gave."""
        return cls(**json.loads(text))


def render(figures: Figures) -> str:
    """The page's part, in Markdown."""
    ours, *peers = figures.contenders
    rows = [row for row in ROWS if row.key in figures.rows or row.key in figures.notes]
    head = ["", *figures.contenders, *(f"{ours} against {peer}" for peer in peers)]
    table = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    for row in rows:
        found = figures.rows.get(row.key, {})
        cells = [_shown(row, found.get(one, [])) for one in figures.contenders]
        cells += [_compared(row, found.get(ours, []), found.get(peer, [])) for peer in peers]
        table.append(f"| {' | '.join([row.name, *cells])} |")
    notes = [f"{_named(key)} was not measured: {why}." for key, why in figures.notes.items()]
    commands = [
        "| Row | Bazel | buildah, podman |",
        "| --- | --- | --- |",
        *(f"| {row.name} | {row.ours} | {row.theirs} |" for row in rows),
    ]
    versions = ", ".join(f"{name} {figures.versions[name]}" for name in figures.contenders)
    said = f"{versions}; {machine.shown(figures.machine)}."
    return "\n\n".join(["\n".join(table), *notes, said, "\n".join(commands)])


def _named(key: str) -> str:
    return next(row.name for row in ROWS if row.key == key)


def _shown(row: Row, figures: Sequence[float]) -> str:
    if not figures:
        return _NOT_MEASURED
    if row.key == "digests":
        different = int(figures[0])
        builds = int(figures[1])
        return f"the same, {builds} times" if different == 1 else f"{different} of {builds} builds"
    median = statistics.median(figures)
    if not row.unit:
        return f"{median:.0f}"
    if row.unit == "requests/s":
        return f"{median:.0f}/s"
    return f"{median:.3f} {row.unit}" if median < 1 else f"{median:.1f} {row.unit}"


def _compared(row: Row, ours: Sequence[float], theirs: Sequence[float]) -> str:
    """The ratio, and whether it is a loss; words in place of it where there is none to tell."""
    if not ours or not theirs:
        return _NOT_MEASURED
    if row.key == "digests":
        return "" if ours[0] <= theirs[0] else "**worse**"
    if row.exact:
        ratio = statistics.median(ours) / statistics.median(theirs)
        return _judged(f"{ratio:.2f}", is_worse=ratio > 1)
    if len(ours) < _LEAST_ROUNDS:
        ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
        return f"{ratio:.2f}, too few rounds to say"
    found = Ratio.of(ours, theirs)
    if found.is_noisy:
        return f"too noisy to say ({found.low:.2f} to {found.high:.2f})"
    return _judged(str(found), is_worse=found.high < 1 if row.more else found.low > 1)


def _judged(text: str, *, is_worse: bool) -> str:
    return f"**{text}: worse**" if is_worse else text


def plot(figures: Figures) -> str:
    """A bar chart as SVG 1.1: each row's medians as parts of the first peer's.

    Rows of which more is better are shown as their inverse, so that shorter is better throughout.

    Raises:
        ValueError: no row has figures of both.
    """
    base = figures.contenders[1]
    rows = [
        (row, medians)
        for row in ROWS
        if row.key != "digests" and (medians := _medians(figures.rows.get(row.key, {}), base, row))
    ]
    if not rows:
        raise ValueError(f"figures of {base} expected, to compare others with")
    body = []
    scale = (_WIDTH - _LEFT - 60) / _LONGEST
    height = _HEAD
    for row, medians in rows:
        body.append(_text(_LEFT - 10, height + _BAR * len(medians) / 2 + 4, row.name, "end"))
        for number, name in enumerate(figures.contenders):
            if name not in medians:
                continue
            part = medians[name]
            length = min(part, _LONGEST) * scale
            body.append(
                f'<rect x="{_LEFT}" y="{height}" width="{length:.1f}" height="{_BAR - 2}" '
                f'fill="{_COLOURS[number]}"/>'
            )
            body.append(_text(_LEFT + length + 4, height + _BAR - 3, f"{part:.2f}", "start"))
            height += _BAR
        height += _GAP
    x = _LEFT + scale
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_HEAD - 6}" y2="{height}" stroke="#999999"/>'
    title = f"Parts of what {base} takes: shorter is better"
    key = [
        f'<rect x="{_LEFT + 110 * number}" y="36" width="12" height="12" fill="{colour}"/>'
        + _text(_LEFT + 110 * number + 18, 46, name, "start")
        for number, (name, colour) in enumerate(zip(figures.contenders, _COLOURS, strict=False))
    ]
    head = 'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12"'
    return "\n".join(
        [
            f'<svg {head} viewBox="0 0 {_WIDTH} {height + 10}">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{_WIDTH}" height="{height + 10}" fill="#ffffff"/>',
            _text(_WIDTH / 2, 22, title, "middle"),
            *key,
            line,
            *body,
            "</svg>\n",
        ]
    )


def _medians(by_contender: Mapping[str, Sequence[float]], base: str, row: Row) -> dict[str, float]:
    if not by_contender.get(base):
        return {}
    least = statistics.median(by_contender[base])
    found = {name: statistics.median(many) / least for name, many in by_contender.items() if many}
    return {name: 1 / part for name, part in found.items()} if row.more else found


def _text(x: float, y: float, text: str, anchor: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#222222"'
    return f"<text {place}>{escape(text)}</text>"
