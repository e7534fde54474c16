"""What rounds of a measurement say, and whether the machine was quiet enough for them to say it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# Where the upper quartile of the ratios is more than this many times the lower one, neighbours of
# the machine were measured.
WIDEST = 1.5


@dataclass(frozen=True)
class Ratio:
    """How much more one thing takes than another, over rounds in which both had a turn.

    Attributes:
        median: of the rounds' ratios.
        low: their lower quartile.
        high: their upper quartile.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, ours: Sequence[float], base: Sequence[float]) -> "Ratio":
        """The ratios of rounds, in their order.

        Raises:
            ValueError: the numbers of rounds differ, or there are fewer than two.
        """
        ratios = [one / other for one, other in zip(ours, base, strict=True)]
        if len(ratios) < 2:
            raise ValueError(f"two rounds expected at least, got {len(ratios)}")
        low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return cls(median, low, high)

    @property
    def is_noisy(self) -> bool:
        """Whether the quartiles are too far apart for the median to mean anything."""
        return self.high > WIDEST * self.low

    def __str__(self) -> str:
        """The median with its quartiles; without it where the machine was too noisy.

        >>> str(Ratio(1.2, 1.1, 1.3))
        '1.20 (1.10 to 1.30)'
        """
        quartiles = f"{self.low:.2f} to {self.high:.2f}"
        if self.is_noisy:
            return f"machine too noisy ({quartiles})"
        return f"{self.median:.2f} ({quartiles})"
