"""The registry of a process' Prometheus metrics; each room registers its own there."""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serving.watch.multiprocess import FOLDER_VARIABLE

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Buckets of histograms, in seconds: for what we do ourselves, and for what others do for us.
FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SLOW = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0)


class Registry:
    """Makes metrics, and exposes them.

    With several workers each process writes its figures into files of a shared folder, and any of
    them can answer for all.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()

    def counter(self, name: str, about: str, *labels: str) -> Counter:
        """A figure that only rises; its name gets the suffix `_total`."""
        return Counter(name, about, labels, registry=self._registry)

    def gauge(self, name: str, about: str, *labels: str, mode: str = "livesum") -> Gauge:
        """A figure that rises and falls; `mode` says how those of several workers become one."""
        return Gauge(name, about, labels, registry=self._registry, multiprocess_mode=mode)  # type: ignore[arg-type]

    def histogram(
        self, name: str, about: str, *labels: str, buckets: tuple[float, ...] = FAST
    ) -> Histogram:
        """How a time, in seconds, is distributed."""
        return Histogram(name, about, labels, buckets=buckets, registry=self._registry)

    def expose(self) -> bytes:
        """Everything in Prometheus' text format 0.0.4."""
        if FOLDER_VARIABLE in os.environ:
            from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry)
        return generate_latest(self._registry)
