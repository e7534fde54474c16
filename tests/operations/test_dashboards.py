"""Every query of a dashboard is one that Prometheus takes, of metrics that the service has."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.kubernetes.manifests import Manifests, service
from tests.operations import promtool
from tests.operations.queries import faults
from tools.dev import process

MANIFESTS = Manifests.read(Path(os.environ["MANIFESTS"]))
DASHBOARDS = {
    name: json.loads(text)
    for one in MANIFESTS.of("ConfigMap")
    if one["metadata"].get("labels", {}).get("grafana_dashboard")
    for name, text in one["data"].items()
}


def queries() -> Iterator[tuple[str, str]]:
    """Each query, and where it stands; Grafana's own variables as it might fill them in."""
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                place = f"{name}, {panel['title']}, {target['refId']}"
                yield place, target["expr"].replace("$__rate_interval", "5m")


@pytest.fixture(scope="module")
def metrics() -> dict[str, frozenset[str]]:
    """The labels of each metric, as the service's own page says."""
    done = process.run(service()["module"], "metrics")
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("| `")]
    return {row[1].strip(" `"): frozenset(re.findall(r"`(\w+)`", row[3])) for row in rows}


def test_every_dashboard_has_queries() -> None:
    assert DASHBOARDS
    assert {place.partition(",")[0] for place, _ in queries()} == set(DASHBOARDS)


def test_prometheus_takes_every_query(tmp_path: Path) -> None:
    records = [
        {"record": f"dashboard:query:{number}", "expr": query}
        for number, (_, query) in enumerate(queries())
    ]
    promtool.check_rules(records, tmp_path)


def test_every_query_asks_for_what_the_service_has(metrics: dict[str, frozenset[str]]) -> None:
    found = {place: faults(query, metrics) for place, query in queries()}
    assert {place: wrong for place, wrong in found.items() if wrong} == {}


def test_every_alert_asks_for_what_the_service_has(metrics: dict[str, frozenset[str]]) -> None:
    found = {rule["alert"]: faults(rule["expr"], metrics) for rule in promtool.rules(MANIFESTS)}
    assert {alert: wrong for alert, wrong in found.items() if wrong} == {}


def test_the_page_of_metrics_is_what_is_exposed(
    metrics: dict[str, frozenset[str]], running: process.Running
) -> None:
    text = httpx.get(running.url + service()["metrics_path"], timeout=30).text
    typed = {
        line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")
    }
    # prometheus-client tells of each series when it began.
    exposed = {name for name in typed if not name.endswith("_created")}
    assert exposed == set(metrics)


def test_panels_do_not_overlap() -> None:
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        place = panel["gridPos"]
        return {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }

    for dashboard in DASHBOARDS.values():
        taken = [cell for panel in dashboard["panels"] for cell in cells(panel)]
        assert len(taken) == len(set(taken))
        assert max(x for x, _ in taken) < 24
