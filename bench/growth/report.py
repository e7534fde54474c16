"""Figures of growth, and what a page says of them: a table and a plot."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import machine
from bench.figures import Ratio
from bench.growth import plot

UNCHANGED, CHANGED, CLEAN = "nothing changed", "a line changed in one service", "clean build"


@dataclass
class Growth:
    """All that was measured in a run; numbers of services are text, as keys of JSON are.

    Attributes:
        services: numbers of services, ascending.
        seconds: by row and number of services, in the rounds' order.
        memory: heap of the Bazel server by number of services, in MB.
        disk: all different blobs of the images by number of services, in MB.
        machine: as `machine.describe` gives it.
    """

    services: list[int]
    seconds: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    disk: dict[str, float] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)

    def add(self, row: str, count: int, seconds: float) -> None:
        """Enters a figure."""
        self.seconds.setdefault(row, {}).setdefault(str(count), []).append(round(seconds, 3))

    def dumps(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def loads(cls, text: str) -> "Growth":
        """What `dumps` gave."""
        return cls(**json.loads(text))


def render(found: Growth) -> str:
    """The page's part, in Markdown: medians, and ratios to the fewest services."""
    names = [str(one) for one in found.services]
    least, most = names[0], names[-1]
    lines = [
        f"| | {' | '.join(names)} | {most} against {least} |",
        f"| {' | '.join('---' for _ in range(len(names) + 2))} |",
    ]
    rounds = 0
    for row, by_count in found.seconds.items():
        rounds = max(rounds, len(by_count[least]))
        medians = " | ".join(f"{statistics.median(by_count[one]):.2f} s" for one in names)
        lines.append(f"| {row} | {medians} | {_ratio(by_count[most], by_count[least])} |")
    for row, figures in (
        ("heap of the Bazel server", found.memory),
        ("blobs of all images", found.disk),
    ):
        values = " | ".join(f"{figures[one]:.1f} MB" for one in names)
        lines.append(f"| {row} | {values} | {figures[most] / figures[least]:.2f} |")
    return "\n".join([*lines, "", f"{rounds} rounds; {machine.shown(found.machine)}."])


def _ratio(most: Sequence[float], least: Sequence[float]) -> str:
    if len(least) > 1:
        return str(Ratio.of(most, least))
    return f"{most[0] / least[0]:.2f} (one round)"


def draw(found: Growth) -> str:
    """The medians as a plot, in SVG."""
    medians = {
        row: {int(one): statistics.median(values) for one, values in by_count.items()}
        for row, by_count in found.seconds.items()
    }
    return plot.plot("Builds of services, medians", medians)
