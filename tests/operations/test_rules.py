"""The alert rules that every service has: what sets off each, what does not, and its runbook."""

import os
import re
from pathlib import Path

import httpx
import pytest

from tests.kubernetes.manifests import Manifests, service
from tests.operations import promtool
from tests.operations.promtool import Case
from tests.operations.recordings import INSTANCE, rising, scrape, series
from tools.dev import process

MANIFESTS = Manifests.read(Path(os.environ["MANIFESTS"]))
RULES = promtool.rules(MANIFESTS)
NAME = service()["service"]
READY = service()["ready_path"]
UP = {f'up{{job="{NAME}",instance="{INSTANCE}"}}': "1x800"}


def requests(status: int, step: float, route: str = "/x", method: str = "GET") -> dict[str, str]:
    labels = {"job": NAME, "instance": INSTANCE, "method": method, "route": route}
    return dict([rising("http_requests_total", step, 800, **labels, status=status)])


def ready(status: int) -> dict[str, str]:
    return requests(status, 3, READY)


def slow(seconds: str) -> dict[str, str]:
    labels = {"job": NAME, "instance": INSTANCE, "method": "GET", "route": "/x"}
    made = dict([rising("http_request_duration_seconds_bucket", 30, 800, **labels, le="+Inf")])
    for bound in ("0.1", "1.0", "2.5"):
        step = 30 if float(bound) >= float(seconds) else 29
        made |= [rising("http_request_duration_seconds_bucket", step, 800, **labels, le=bound)]
    return made


CASES = {
    "nobody answers": Case(
        series={f'up{{job="{NAME}",instance="{INSTANCE}"}}': "1x4 0x800"},
        minutes=30,
        fires=frozenset({"NoReplicaAnswers", "ReplicaDown"}),
    ),
    "nobody is known": Case(
        series={'up{job="other"}': "1x800"}, minutes=30, fires=frozenset({"NoReplicaAnswers"})
    ),
    "one of two does not answer": Case(
        series={**UP, f'up{{job="{NAME}",instance="10.0.0.2:8000"}}': "0x800"},
        minutes=30,
        fires=frozenset({"ReplicaDown"}),
    ),
    "nobody is ready": Case(
        series={**UP, **ready(503)},
        minutes=30,
        fires=frozenset({"NoReplicaReady", "ReplicaUnready"}),
    ),
    "one of two is not ready": Case(
        series={
            **UP,
            **ready(503),
            f'http_requests_total{{job="{NAME}",instance="10.0.0.2:8000",method="GET",'
            f'route="{READY}",status="200"}}': "0+3x800",
        },
        minutes=30,
        fires=frozenset({"ReplicaUnready"}),
    ),
    "one request in twenty fails": Case(
        series={**UP, **requests(200, 95), **requests(500, 5)},
        minutes=90,
        fires=frozenset({"RequestsFail", "RequestsFailSlowly"}),
    ),
    "one request in two hundred fails": Case(
        series={**UP, **requests(200, 199), **requests(500, 1)},
        minutes=390,
        fires=frozenset({"RequestsFailSlowly"}),
    ),
    "one request in two thousand fails": Case(
        series={**UP, **requests(200, 1999), **requests(500, 1)}, minutes=390, fires=frozenset()
    ),
    "the only request of the night fails": Case(
        series={
            **UP,
            f'http_requests_total{{job="{NAME}",instance="{INSTANCE}",method="GET",route="/x",'
            'status="500"}': "0x100 1x700",
        },
        minutes=60,
        fires=frozenset(),
    ),
    "the client's mistakes are no failures": Case(
        series={**UP, **requests(422, 50), **requests(499, 50)}, minutes=90, fires=frozenset()
    ),
    "probes that fail are no failed requests": Case(
        series={**UP, **requests(200, 10), **ready(503), **requests(200, 3, READY, "HEAD")},
        minutes=90,
        fires=frozenset({"ReplicaUnready"}),
    ),
    "connections are refused": Case(
        series={
            **UP,
            f'http_refused_total{{job="{NAME}",instance="{INSTANCE}",'
            'reason="too-many-connections"}': "0+5x800",
        },
        minutes=30,
        fires=frozenset({"ConnectionsRefused"}),
    ),
    "clients that send nonsense are refused": Case(
        series={
            **UP,
            f'http_refused_total{{job="{NAME}",instance="{INSTANCE}",reason="bad-request"}}': (
                "0+50x800"
            ),
        },
        minutes=30,
        fires=frozenset(),
    ),
    "reads take two seconds": Case(
        series={**UP, **slow("2")}, minutes=30, fires=frozenset({"ReadsSlow"})
    ),
    "reads take a tenth of a second": Case(
        series={**UP, **slow("0.1")}, minutes=30, fires=frozenset()
    ),
    "a rollout does not end": Case(
        series={
            **UP,
            f'build_info{{job="{NAME}",instance="1",version="1",revision="a"}}': "1x800",
            f'build_info{{job="{NAME}",instance="2",version="1",revision="b"}}': "1x800",
        },
        minutes=90,
        fires=frozenset({"VersionsDiffer"}),
    ),
}


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return promtool.faults(RULES, CASES, tmp_path_factory.mktemp("rules"))


@pytest.mark.parametrize("name", CASES)
def test_each_state_sets_off_its_alerts_and_no_other(name: str, faults: dict[str, str]) -> None:
    assert name not in faults, faults[name]


def test_every_alert_that_any_service_has_is_set_off_by_some_state() -> None:
    general = {rule["alert"] for rule in RULES} & {
        name for case in CASES.values() for name in case.fires
    }
    assert general == {name for case in CASES.values() for name in case.fires}


def test_prometheus_takes_every_rule(tmp_path: Path) -> None:
    assert RULES
    promtool.check_rules(RULES, tmp_path)


def test_a_service_that_works_sets_off_no_alert(running: process.Running, tmp_path: Path) -> None:
    scrapes = []
    for _ in range(2):
        for path in (READY, service()["live_path"], "/nowhere"):
            httpx.get(running.url + path, timeout=30)
        scrapes.append(scrape(running.url))
    case = Case(series=series(NAME, scrapes, 800), minutes=390, fires=frozenset())
    promtool.try_rules(RULES, [case], tmp_path)


def test_a_service_with_a_database_has_its_alerts() -> None:
    migrations = [one for one in MANIFESTS.of("Job") if one["metadata"]["name"].startswith(NAME)]
    alerts = {rule["alert"] for rule in RULES}

    assert not migrations or "DatabaseConnectionsScarce" in alerts, (
        "the overlay has components/database; expected components/alerts-database beside "
        "components/alerts"
    )


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as they are made of their words."""
    words = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", word.lower()).replace(" ", "-") for word in words}


def test_every_alert_has_its_section_in_the_runbook() -> None:
    runbook = Path(os.environ["RUNBOOK"])
    known = anchors(runbook.read_text())
    for rule in RULES:
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == f"docs/{runbook.name}"
        assert anchor == rule["alert"].lower()
        assert anchor in known, f"{rule['alert']}: write its section in {page}"


def test_every_alert_says_how_much_it_matters_and_of_which_service_it_is() -> None:
    for rule in RULES:
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert rule["labels"]["service"] == NAME
        assert rule["annotations"]["summary"]
