"""The metrics of calls."""

import pytest

from serving.tests.exposition import samples
from serving.upstream.metrics import BREAKER_STATES, UpstreamMetrics
from serving.watch.registry import Registry


@pytest.mark.parametrize("state", BREAKER_STATES)
def test_the_breaker_is_in_one_state_at_a_time(state: str) -> None:
    registry = Registry()
    metrics = UpstreamMetrics(registry, prefix="oracle", title="the oracle")
    for earlier in BREAKER_STATES:
        metrics.set_breaker(earlier)
    metrics.set_breaker(state)
    found = samples(registry.expose().decode())
    states = {
        one: found[f'oracle_circuit_breaker_state{{state="{one}"}}'] for one in BREAKER_STATES
    }
    assert states == {one: float(one == state) for one in BREAKER_STATES}


def test_two_peers_have_metrics_of_their_own() -> None:
    registry = Registry()
    UpstreamMetrics(registry, prefix="oracle", title="the oracle").reachable.set(1)
    UpstreamMetrics(registry, prefix="bank", title="the bank").reachable.set(0)
    found = samples(registry.expose().decode())
    assert (found["oracle_reachable"], found["bank_reachable"]) == (1, 0)
    assert "# HELP bank_calls_total Calls of the bank, by outcome." in registry.expose().decode()
