"""The todo service's own alert rules, and the figures of one whose database is gone."""

import os
from pathlib import Path

import httpx
import pytest

from tests.kubernetes.manifests import Manifests, service
from tests.operations import promtool
from tests.operations.promtool import Case
from tests.operations.recordings import INSTANCE, rising, scrape, series
from tests.operations.test_rules import CASES as GENERAL
from tools.dev import process

RULES = promtool.rules(Manifests.read(Path(os.environ["MANIFESTS"])))
NAME = service()["service"]
SCRAPED = {"job": NAME, "instance": INSTANCE}
UP = {f'up{{job="{NAME}",instance="{INSTANCE}"}}': "1x400"}


def calls(outcome: str, step: float) -> dict[str, str]:
    return dict([rising("ai_calls_total", step, 400, **SCRAPED, outcome=outcome)])


def waits(bound: float) -> dict[str, str]:
    """Waits for a connection, of which one in ten takes as long as the bound."""
    name = "database_pool_wait_seconds_bucket"
    made = dict([rising(name, 100, 400, **SCRAPED, le="+Inf")])
    for le in (0.1, 0.5, 1.0):
        made |= [rising(name, 100 if le >= bound else 90, 400, **SCRAPED, le=le)]
    return made


CASES = {
    "requests wait for a connection": Case(
        series={**UP, **waits(1.0)}, minutes=30, fires=frozenset({"DatabaseConnectionsScarce"})
    ),
    "connections are at hand": Case(series={**UP, **waits(0.1)}, minutes=30, fires=frozenset()),
    "the AI service fails": Case(
        series={**UP, **calls("ok", 1), **calls("timeout", 2)},
        minutes=30,
        fires=frozenset({"AiCallsFail"}),
    ),
    "the AI service fails now and then": Case(
        series={**UP, **calls("ok", 9), **calls("timeout", 1)}, minutes=30, fires=frozenset()
    ),
    "the feed loses its connection": Case(
        series={**UP, **dict([rising("feed_reconnects_total", 1, 400, **SCRAPED)])},
        minutes=30,
        fires=frozenset({"FeedLosesDatabase"}),
    ),
    "subscribers do not read": Case(
        series={**UP, **dict([rising("websocket_closes_total", 2, 400, **SCRAPED, code="1013")])},
        minutes=30,
        fires=frozenset({"SubscribersLag"}),
    ),
    "subscribers go to another replica": Case(
        series={**UP, **dict([rising("websocket_closes_total", 2, 400, **SCRAPED, code="1001")])},
        minutes=30,
        fires=frozenset(),
    ),
}


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return promtool.faults(RULES, CASES, tmp_path_factory.mktemp("rules"))


@pytest.mark.parametrize("name", CASES)
def test_each_state_sets_off_its_alerts_and_no_other(name: str, faults: dict[str, str]) -> None:
    assert name not in faults, faults[name]


def test_every_alert_of_the_service_is_set_off_by_some_test() -> None:
    fired = {name for case in (*CASES.values(), *GENERAL.values()) for name in case.fires}
    assert {rule["alert"] for rule in RULES} == fired


def test_a_service_whose_database_is_gone_wakes_somebody(tmp_path: Path) -> None:
    variables = {
        # Nobody listens there.
        "DATABASE_URL": "postgresql://todo@127.0.0.1:1/todo",
        "AUTO_MIGRATE": "false",
        "DATABASE_CONNECT_TIMEOUT": "1",
    }
    with process.Running("backend", **variables) as running:
        scrapes = []
        for _ in range(2):
            statuses = [
                httpx.get(running.url + path, timeout=30).status_code
                for path in ("/api/v1/todos", service()["ready_path"], service()["live_path"])
            ]
            assert statuses == [503, 503, 200]
            scrapes.append(scrape(running.url))
    case = Case(
        series=series(NAME, scrapes, 400),
        minutes=120,
        fires=frozenset({"NoReplicaReady", "ReplicaUnready", "RequestsFail", "RequestsFailSlowly"}),
    )
    promtool.try_rules(RULES, [case], tmp_path)
