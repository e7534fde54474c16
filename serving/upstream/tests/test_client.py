"""Whatever the other service does, a caller gets a result or a failure in time."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from serving.tests.exposition import samples
from serving.upstream.client import Peer, UpstreamClient
from serving.upstream.errors import UpstreamFailure
from serving.upstream.limits import Limits
from serving.upstream.metrics import UpstreamMetrics
from serving.watch.registry import Registry
from tools.dev.ai import (
    AiStub,
    Behaviour,
    Exchange,
    after,
    never,
    one_after_another,
    responds,
    sends,
)

NOBODY = "http://127.0.0.1:9"
LIMITS = Limits(
    connect_timeout=0.3,
    read_timeout=0.3,
    total_timeout=2,
    retries=2,
    max_concurrency=8,
    queue_timeout=1,
    max_response_bytes=10_000,
    breaker_failures=1000,
    breaker_recovery=1,
    probe_interval=0.1,
)
well = responds(b'{"said": "hello"}')


class OracleFailure(UpstreamFailure):
    service: ClassVar[str] = "oracle"
    title: ClassVar[str] = "the oracle"


class Oracle:
    """A client of the stub, and what its metrics say."""

    def __init__(self, base_url: str | None, **limits: Any) -> None:
        self.registry = Registry()
        self.client = UpstreamClient(
            Peer(
                name="oracle",
                base_url=base_url,
                headers={"Authorization": "Bearer sesame"},
                probe_path="health",
            ),
            replace(LIMITS, **limits),
            UpstreamMetrics(self.registry, prefix="oracle", title="the oracle"),
            OracleFailure,
        )

    async def ask(self) -> Any:
        return await self.client.post("ask", {"question": "why?"}, json.loads)

    async def fail(self) -> UpstreamFailure:
        with pytest.raises(OracleFailure) as caught:
            await self.ask()
        return caught.value

    async def outcome(self) -> str:
        """How a call ends, in a word."""
        try:
            await self.ask()
        except OracleFailure as failure:
            return failure.outcome
        return "ok"

    @property
    def samples(self) -> dict[str, float]:
        return samples(self.registry.expose().decode())


@pytest.fixture
def stub() -> Iterator[AiStub]:
    with AiStub(behaviour=well) as stub:
        yield stub


@asynccontextmanager
async def open_oracle(base_url: str | None, **limits: Any) -> AsyncIterator[Oracle]:
    oracle = Oracle(base_url, **limits)
    try:
        yield oracle
    finally:
        await oracle.client.stop()


async def test_a_call_is_a_post_of_json_with_the_peers_headers(stub: AiStub) -> None:
    async with open_oracle(stub.url) as oracle:
        assert await oracle.ask() == {"said": "hello"}
    request = stub.exchanges[0]
    assert request.header.startswith("POST /v1/ask ")
    assert request.json == {"question": "why?"}
    assert "authorization: bearer sesame" in request.header.lower()
    assert "accept-encoding: identity" in request.header.lower()


async def test_calls_and_their_time_are_counted(stub: AiStub) -> None:
    async with open_oracle(stub.url) as oracle:
        await oracle.ask()
        found = oracle.samples
    assert found['oracle_calls_total{outcome="ok"}'] == 1
    assert found["oracle_call_duration_seconds_count"] == 1
    assert found['oracle_circuit_breaker_state{state="closed"}'] == 1


def drip(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        exchange.send(b" ")
        exchange.wait(0.1)


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
ENDLESS = b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 20_000

# A behaviour; the status for our client, the outcome, and the seconds the service asked for.
FAILURES: dict[str, tuple[Behaviour, int, str, float | None]] = {
    "rate limited": (responds(b"", 429, "Retry-After: 7"), 503, "rate-limited", 7),
    "error 500": (responds(b"oops", 500), 502, "error-status", None),
    "error 400": (responds(b"{}", 400), 502, "error-status", None),
    "error with a pause": (responds(b"", 500, "Retry-After: 7"), 502, "error-status", 7),
    "redirect": (responds(b"", 302, f"Location: {NOBODY}"), 502, "error-status", None),
    "unavailable": (responds(b"", 503, "Retry-After: 7"), 503, "unavailable", 7),
    "hang": (never, 504, "timeout", None),
    "hang after the header": (drip, 504, "timeout", None),
    "half a body": (sends(HALF), 502, "broken-answer", None),
    "closed without an answer": (sends(b""), 502, "broken-answer", None),
    "not HTTP": (sends(b"\x16\x03\x01"), 502, "broken-answer", None),
    "too large": (sends(ENDLESS), 502, "too-large", None),
    "compressed": (responds(b"x", 200, "Content-Encoding: gzip"), 502, "broken-answer", None),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failure_says_what_happened_and_what_our_client_gets(
    stub: AiStub, name: str
) -> None:
    stub.behaviour, status, outcome, retry_after = FAILURES[name]
    async with open_oracle(stub.url) as oracle, asyncio.timeout(5):
        failure = await oracle.fail()
        assert oracle.samples[f'oracle_calls_total{{outcome="{outcome}"}}'] == 1
    assert (failure.status, failure.outcome, failure.retry_after) == (status, outcome, retry_after)


@pytest.mark.parametrize(
    ("header", "seconds"), [("999999", 3600), ("Fri, 01 Jan 2100 00:00:00 GMT", None), ("-5", None)]
)
async def test_a_retry_after_that_is_no_small_number_is_bounded_or_ignored(
    stub: AiStub, header: str, seconds: float | None
) -> None:
    stub.behaviour = responds(b"", 500, f"Retry-After: {header}")
    async with open_oracle(stub.url) as oracle:
        assert (await oracle.fail()).retry_after == seconds


async def test_what_the_parser_refuses_is_a_failure_of_its_own(stub: AiStub) -> None:
    def refuse(_: bytes) -> Any:
        raise OracleFailure("riddle", 502, "spoke in riddles")

    async with open_oracle(stub.url) as oracle:
        with pytest.raises(OracleFailure, match="spoke in riddles"):
            await oracle.client.post("ask", {}, refuse)
        assert oracle.samples['oracle_calls_total{outcome="riddle"}'] == 1
    assert stub.calls == 1


async def test_a_refused_connection_is_a_503() -> None:
    async with open_oracle(NOBODY) as oracle:
        failure = await oracle.fail()
    assert (failure.status, failure.outcome) == (503, "unreachable")


@pytest.mark.parametrize("first", [responds(b"", 429), responds(b"", 503, "Retry-After: 0")])
async def test_what_was_not_processed_is_tried_again(stub: AiStub, first: Behaviour) -> None:
    stub.behaviour = one_after_another(first, first, well)
    async with open_oracle(stub.url) as oracle:
        assert await oracle.outcome() == "ok"
    assert stub.calls == 3


async def test_retries_are_bounded(stub: AiStub) -> None:
    stub.behaviour = responds(b"", 429)
    async with open_oracle(stub.url) as oracle:
        assert await oracle.outcome() == "rate-limited"
    assert stub.calls == 3


async def test_a_long_pause_is_passed_on_instead_of_being_waited_for(stub: AiStub) -> None:
    stub.behaviour = responds(b"", 503, "Retry-After: 3")
    async with open_oracle(stub.url) as oracle, asyncio.timeout(1):
        assert (await oracle.fail()).retry_after == 3
    assert stub.calls == 1


@pytest.mark.parametrize("name", ["error 500", "hang", "half a body"])
async def test_what_may_have_been_processed_is_not_tried_again(stub: AiStub, name: str) -> None:
    stub.behaviour = FAILURES[name][0]
    async with open_oracle(stub.url) as oracle:
        await oracle.fail()
    assert stub.calls == 1


async def test_all_attempts_together_are_bounded_in_time(stub: AiStub) -> None:
    stub.behaviour = drip
    async with (
        open_oracle(stub.url, total_timeout=0.5, read_timeout=10) as oracle,
        asyncio.timeout(2),
    ):
        assert (await oracle.fail()).status == 504


async def test_the_breaker_opens_and_then_tries_once(stub: AiStub) -> None:
    stub.behaviour = responds(b"", 500)
    limits = {"breaker_failures": 3, "read_timeout": 5, "total_timeout": 5}
    async with open_oracle(stub.url, **limits) as oracle:
        for _ in range(3):
            assert await oracle.outcome() == "error-status"
        refused = await oracle.fail()
        found = oracle.samples
        assert (refused.status, refused.outcome, stub.calls) == (503, "circuit-open", 3)
        assert refused.retry_after == 1
        assert found['oracle_circuit_breaker_state{state="open"}'] == 1
        assert found['oracle_circuit_breaker_state{state="closed"}'] == 0
        assert found['oracle_calls_total{outcome="error-status"}'] == 3
        assert found['oracle_calls_total{outcome="circuit-open"}'] == 1

        await asyncio.sleep(1.1)
        oracle.client.observe()
        assert oracle.samples['oracle_circuit_breaker_state{state="half_open"}'] == 1
        stub.behaviour = after(0.5, well)
        trials = await asyncio.gather(*(oracle.outcome() for _ in range(5)))
        assert sorted(trials) == ["circuit-open"] * 4 + ["ok"]
        assert await oracle.outcome() == "ok"


async def test_a_failed_trial_opens_the_breaker_again(stub: AiStub) -> None:
    stub.behaviour = responds(b"", 500)
    async with open_oracle(stub.url, breaker_failures=1) as oracle:
        await oracle.fail()
        await asyncio.sleep(1.1)
        await oracle.fail()
        await oracle.fail()
    assert stub.calls == 2


async def test_a_caller_that_leaves_during_the_trial_does_not_close_the_breaker(
    stub: AiStub,
) -> None:
    stub.behaviour = responds(b"", 500)
    async with open_oracle(stub.url, breaker_failures=1) as oracle:
        await oracle.fail()
        await asyncio.sleep(1.1)
        stub.behaviour = never
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await oracle.ask()
        assert oracle.client.breaker_state == "half_open"


async def test_a_failure_that_proves_nothing_does_not_open_the_breaker(stub: AiStub) -> None:
    stub.behaviour = responds(b"", 429, "Retry-After: 7")
    async with open_oracle(stub.url, breaker_failures=1) as oracle:
        assert await oracle.outcome() == "rate-limited"
        stub.behaviour = well
        assert await oracle.outcome() == "ok"


async def test_no_more_calls_run_at_once_than_allowed(stub: AiStub) -> None:
    stub.behaviour = after(0.15, well)
    async with open_oracle(stub.url, max_concurrency=2, queue_timeout=0.2) as oracle:
        outcomes = await asyncio.gather(*(oracle.outcome() for _ in range(10)))
    assert stub.most_at_once == 2
    assert set(outcomes) == {"ok", "busy"}


async def test_a_caller_that_leaves_gives_its_turn_back(stub: AiStub) -> None:
    stub.behaviour = never
    async with open_oracle(stub.url, max_concurrency=1, read_timeout=5) as oracle:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await oracle.ask()
        stub.behaviour = well
        assert await oracle.outcome() == "ok"


async def status_after_probe(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("serving.upstream.client.PROBE_DELAY_SECONDS", 0.0)
    oracle.client.watched.set("draining")
    oracle.client.start()
    async with asyncio.timeout(5):
        while oracle.client.watched.status == "draining":
            await asyncio.sleep(0.02)
    return oracle.client.watched.status


async def test_a_peer_that_nobody_is_at_is_seen_to_be_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_oracle(NOBODY) as oracle:
        assert oracle.client.watched.status == "unknown"
        assert await status_after_probe(oracle, monkeypatch) == "unavailable"
        assert oracle.samples["oracle_reachable"] == 0


async def test_a_peer_that_comes_back_is_noticed(
    stub: AiStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_oracle(stub.url) as oracle:
        stub.stop()
        assert await status_after_probe(oracle, monkeypatch) == "unavailable"
        stub.start()
        async with asyncio.timeout(5):
            while oracle.client.watched.status != "ok":
                await asyncio.sleep(0.02)
        assert oracle.client.watched.latency is not None
        assert oracle.samples["oracle_reachable"] == 1


async def test_without_a_peer_nothing_is_watched() -> None:
    async with open_oracle(None) as oracle:
        oracle.client.start()
        assert not oracle.client.is_configured
        assert oracle.client.watched.status == "disabled"
