"""The registry of a process' Prometheus metrics; each room registers its own there."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serving.watch.multiprocess import FOLDER_VARIABLE

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Buckets of histograms, in seconds: for what we do ourselves, and for what others do for us.
FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SLOW = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0)


@dataclass(frozen=True, kw_only=True)
class Described:
    """A metric, as the page about them has it.

    Attributes:
        name: as it is exposed and queried; of a histogram, without `_bucket`, `_count`, `_sum`.
        kind: `counter`, `gauge` or `histogram`.
        labels: that every sample has.
        about: its help.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    about: str


class Registry:
    """Makes metrics, and exposes them.

    With several workers each process writes its figures into files of a shared folder, and any of
    them can answer for all.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._described: list[Described] = []

    @property
    def described(self) -> Sequence[Described]:
        """All metrics that were made, sorted by name."""
        return sorted(self._described, key=lambda one: one.name)

    def counter(self, name: str, about: str, *labels: str) -> Counter:
        """A figure that only rises; its name gets the suffix `_total`."""
        self._describe(f"{name}_total", "counter", labels, about)
        return Counter(name, about, labels, registry=self._registry)

    def gauge(self, name: str, about: str, *labels: str, mode: str = "livesum") -> Gauge:
        """A figure that rises and falls; `mode` says how those of several workers become one."""
        self._describe(name, "gauge", labels, about)
        return Gauge(name, about, labels, registry=self._registry, multiprocess_mode=mode)  # type: ignore[arg-type]

    def histogram(
        self, name: str, about: str, *labels: str, buckets: tuple[float, ...] = FAST
    ) -> Histogram:
        """How a time, in seconds, is distributed."""
        self._describe(name, "histogram", labels, about)
        return Histogram(name, about, labels, buckets=buckets, registry=self._registry)

    def _describe(self, name: str, kind: str, labels: tuple[str, ...], about: str) -> None:
        self._described.append(Described(name=name, kind=kind, labels=labels, about=about))

    def expose(self) -> bytes:
        """Everything in Prometheus' text format 0.0.4."""
        if FOLDER_VARIABLE in os.environ:
            from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry)
        return generate_latest(self._registry)
