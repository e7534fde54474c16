"""A service that calls another one: what its own clients and its operators see."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from serving.tests.exposition import samples
from serving.tests.service import PATH, open_app
from tools.dev.ai import AiStub, never, responds


@pytest.fixture
def stub() -> Iterator[AiStub]:
    with AiStub(behaviour=responds(b'{"text":"hallo"}')) as stub:
        yield stub


async def translate(client: httpx.AsyncClient) -> httpx.Response:
    created = await client.post(PATH, json={"text": "hello"})
    return await client.post(f"{created.headers['Location']}/translation")


async def test_a_failure_is_a_problem_and_opens_the_breaker_in_the_metrics(
    stub: AiStub, sqlite_url: str
) -> None:
    stub.behaviour = responds(b"oops", 500)
    async with open_app(sqlite_url, translator_url=stub.url) as (_, client):
        failed = [await translate(client) for _ in range(4)]
        found = samples((await client.get("/metrics")).text)
    assert [one.status_code for one in failed] == [502, 502, 502, 503]
    assert failed[0].headers["Content-Type"] == "application/problem+json"
    assert failed[0].json()["type"] == "/problems/translator-error-status"
    assert failed[3].json()["type"] == "/problems/translator-circuit-open"
    assert failed[3].headers["Retry-After"] == "1"
    assert found['translator_circuit_breaker_state{state="open"}'] == 1


async def test_the_service_works_and_holds_no_connection_while_the_other_one_hangs(
    stub: AiStub, database_url: str
) -> None:
    stub.behaviour = never
    options = {"database_pool_size": 1, "database_max_overflow": 0, "translator_url": stub.url}
    async with open_app(database_url, **options) as (app, client):
        hanging = [asyncio.create_task(translate(client)) for _ in range(4)]
        async with asyncio.timeout(5):
            while stub.running < 4:
                await asyncio.sleep(0.01)
        assert app.database.pool.checkedout() == 0
        assert (await client.post(PATH, json={"text": "x"})).status_code == 201
        assert {one.status_code for one in await asyncio.gather(*hanging)} == {504}


async def test_reachability_is_watched_and_shown_but_never_unready(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.upstream.client.PROBE_DELAY_SECONDS", 0.0)
    async with open_app(sqlite_url, translator_url="http://127.0.0.1:9") as (app, client):
        async with asyncio.timeout(5):
            while app.translator.watched.status == "unknown":
                await asyncio.sleep(0.02)
        report = await client.get("/health/ready")
        found = samples((await client.get("/metrics")).text)
    assert (report.status_code, report.json()["status"]) == (200, "degraded")
    assert report.json()["components"][3]["status"] == "unavailable"
    assert found["translator_reachable"] == 0
