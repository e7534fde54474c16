"""A running service's metrics, recorded by scrapes, as series that rules can be tried over."""

from collections.abc import Sequence
from typing import Any

import httpx

INSTANCE = "10.0.0.1:8000"


def scrape(url: str, **headers: str) -> dict[str, float]:
    """The samples of a service's `/metrics`, by their names with labels as they are written."""
    answer = httpx.get(f"{url}/metrics", headers=headers, timeout=30).raise_for_status()
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def labelled(name: str, **labels: str) -> str:
    """A sample's name with more labels: those of the scrape."""
    more = ",".join(f'{label}="{value}"' for label, value in labels.items())
    metric, brace, rest = name.partition("{")
    return f"{metric}{{{more},{rest}" if brace else f"{metric}{{{more}}}"


def series(
    job: str, scrapes: Sequence[dict[str, float]], times: int, instance: str = INSTANCE
) -> dict[str, str]:
    """The series of one replica that goes on for a while as it did during the scrapes.

    Args:
        job: of the scrapes.
        scrapes: two; what a counter rose between them it rises at each further scrape.
        times: further scrapes.
        instance: the replica.
    """
    first, last = scrapes
    made = {labelled("up", job=job, instance=instance): f"1x{times + 1}"}
    for name, value in last.items():
        before = first.get(name, 0.0 if "_total" in name or "_bucket" in name else value)
        # A gauge stays as it was last.
        step = max(0.0, value - before) if _rises(name) else 0.0
        made[labelled(name, job=job, instance=instance)] = f"{before:g}+{step:g}x{times}"
        if not step:
            made[labelled(name, job=job, instance=instance)] = f"{value:g}x{times + 1}"
    return made


def _rises(name: str) -> bool:
    metric = name.partition("{")[0]
    return metric.endswith(("_total", "_bucket", "_sum", "_count"))


def rising(name: str, step: float, times: int, **labels: Any) -> tuple[str, str]:
    """A series that rises by `step` at each of `times` scrapes, and its name with labels."""
    return labelled(name, **labels), f"0+{step:g}x{times}"
