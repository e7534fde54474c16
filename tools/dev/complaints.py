"""What a service's log complains of: a test that does not expect a complaint fails by it.

A complaint is a line of level warning or worse. A test expects some by a mark, each as a regular
expression that is found in the line: `@pytest.mark.complains("database-down", "change feed")`, or
for a whole module `pytestmark = pytest.mark.complains(...)`.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

_LEVELS = frozenset({"warning", "error", "critical"})
# Enough to see what is wrong.
_SHOWN = 20


class _Mark(Protocol):
    @property
    def args(self) -> tuple[Any, ...]: ...


class _Marked(Protocol):
    """A test, as pytest knows it."""

    def iter_markers(self, name: str) -> Iterable[_Mark]: ...


def found(log: str) -> list[str]:
    """The complaints in a log of JSON lines; lines that are none complain of nothing."""
    complaints = []
    for line in log.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("level") in _LEVELS:
            complaints.append(line)
    return complaints


def expected(test: _Marked) -> list[str]:
    """The patterns of what a test expects."""
    return [str(pattern) for mark in test.iter_markers("complains") for pattern in mark.args]


def none_but(patterns: Sequence[str], complaints: Sequence[str]) -> None:
    """Raises `AssertionError` with the complaints in which no pattern is found."""
    others = [
        line for line in complaints if not any(re.search(pattern, line) for pattern in patterns)
    ]
    if others:
        raise AssertionError(
            "the service was expected to complain of nothing"
            + (f" but {list(patterns)}" if patterns else "")
            + f", and logged {len(others)} lines:\n"
            + "\n".join(others[:_SHOWN])
        )
