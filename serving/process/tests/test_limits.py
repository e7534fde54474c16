"""The limits of a connection, and the count of what exceeds them."""

from serving.process.connection import Limits, Refusal, RefusalMetrics
from serving.process.settings import ConnectionSettings
from serving.watch.registry import Registry
from serving.web.problems import Problems
from serving.web.settings import WebSettings


def test_limits_are_those_of_the_settings_of_the_same_names() -> None:
    connections = ConnectionSettings(header_timeout=7, max_connections=3)
    web = WebSettings(body_timeout=8, url_max_bytes=300)
    limits = Limits.of(connections, web)
    assert (limits.header_timeout, limits.max_connections) == (7, 3)
    assert (limits.body_timeout, limits.url_max_bytes) == (8, 300)
    assert limits.request_max_bytes == web.request_max_bytes


def test_a_refusal_says_why_and_is_counted_by_its_reason() -> None:
    registry = Registry()
    refusal = Refusal(400, "bad-request", "expected better")
    metrics = RefusalMetrics(registry)
    metrics.count(refusal.slug)
    metrics.count(refusal.slug)
    assert str(refusal) == "expected better"
    assert b"expected better" in refusal.response(Problems())
    assert 'http_refused_total{reason="bad-request"} 2.0' in registry.expose().decode()
