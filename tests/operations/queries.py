"""Which metrics and labels a query of Prometheus names, so that they can be looked for."""

import re
from collections.abc import Iterator, Mapping

# Labels that a scrape adds, and that of a histogram's buckets.
SCRAPE_LABELS = frozenset({"instance", "job", "le"})
# Of the scrape itself.
SCRAPE_METRICS = frozenset({"up"})

_SUFFIXES = ("_bucket", "_count", "_sum")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}")
_LABEL = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")


def selectors(query: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Each metric of a query whose selector is in braces, and the labels that it is chosen by."""
    for match in _SELECTOR.finditer(_STRING.sub('""', query)):
        yield match[1], frozenset(_LABEL.findall(match[2]))


def groupings(query: str) -> frozenset[str]:
    """All labels by which a query groups."""
    text = _STRING.sub('""', query)
    names = (name.strip() for match in _GROUPING.finditer(text) for name in match[1].split(","))
    return frozenset(name for name in names if name)


def faults(query: str, metrics: Mapping[str, frozenset[str]]) -> list[str]:
    """What a query names that is not there.

    Args:
        query: of one service, each of its metrics with braces.
        metrics: labels by metric; of a histogram without suffix.
    """
    found = []
    known_here: set[str] = set(SCRAPE_LABELS)
    for name, labels in selectors(query):
        metric = next(
            (
                name.removesuffix(suffix)
                for suffix in ("", *_SUFFIXES)
                if name.endswith(suffix) and name.removesuffix(suffix) in metrics
            ),
            name,
        )
        if metric not in metrics and metric not in SCRAPE_METRICS:
            found.append(f"{name}: no such metric in what the service exports")
            continue
        known = metrics.get(metric, frozenset()) | SCRAPE_LABELS
        known_here |= known
        found += [f"{name}: no label {label}" for label in sorted(labels - known)]
        if "job" not in labels:
            found.append(f'{name}: expected job="...", since others have metrics of that name too')
    return found + [f"no label {label}" for label in sorted(groupings(query) - known_here)]
