"""What those see who run a service: probes, metrics, logs."""

import asyncio
import io
import json
import logging
import re
import sys
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from serving.data.errors import DatabaseDown
from serving.tests.exposition import samples
from serving.tests.service import PATH, open_app, settings_for
from serving.watch import health, logs


def component(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in report["components"] if c["component"] == name)
    return found


async def test_a_fresh_service_is_live_started_and_ready(client: httpx.AsyncClient) -> None:
    for path in ("live", "ready", "startup"):
        response = await client.get(f"/health/{path}")
        assert (response.status_code, response.json()["status"]) == (200, "ok")


async def test_readiness_names_each_component_with_its_latency(client: httpx.AsyncClient) -> None:
    report = (await client.get("/health/ready")).json()
    names = [one["component"] for one in report["components"]]
    assert names == ["process", "database", "schema", "translator"]
    assert component(report, "database")["latency_ms"] > 0
    assert component(report, "database")["since"].endswith("Z")
    assert component(report, "translator")["status"] == "disabled"


async def test_readiness_fails_while_the_database_is_down() -> None:
    # Port 9 is the discard service, which nobody runs: connections are refused.
    url = "postgresql://sample@127.0.0.1:9/x"
    async with open_app(url, auto_migrate=False) as (_, client):
        ready = await client.get("/health/ready")
        live = await client.get("/health/live")
        startup = await client.get("/health/startup")
        notes = await client.get(PATH)
    assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
    assert component(ready.json(), "database")["status"] == "unavailable"
    assert (live.status_code, startup.status_code) == (200, 503)
    assert notes.status_code == 503
    assert notes.json()["type"] == "/problems/database-unavailable"
    assert int(notes.headers["Retry-After"]) >= 1


async def test_readiness_fails_until_the_schema_is_current(empty_sqlite_url: str) -> None:
    async with open_app(empty_sqlite_url, auto_migrate=False) as (_, client):
        report = await client.get("/health/ready")
    assert report.status_code == 503
    assert component(report.json(), "database")["status"] == "ok"
    assert component(report.json(), "schema")["status"] == "unavailable"


async def test_a_newer_schema_does_not_take_old_replicas_out(client: httpx.AsyncClient) -> None:
    app: Any = client._transport.app  # type: ignore[attr-defined]
    async with app.database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '0099'"))
    assert (await client.get("/health/ready")).status_code == 200


async def test_many_probes_make_one_look_at_the_database(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_app(sqlite_url) as (app, client):
        looks = 0
        look = app.health._look

        async def counted() -> None:
            nonlocal looks
            looks += 1
            await look()

        monkeypatch.setattr(app.health, "_look", counted)
        await asyncio.gather(*(client.get("/health/ready") for _ in range(50)))
        await client.get("/health/ready")
    assert looks == 1


async def test_a_slow_database_fails_readiness_within_the_budget(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr("serving.data.check.current_revision", never)
    monkeypatch.setattr(health, "BUDGET_SECONDS", 0.2)
    async with open_app(sqlite_url) as (_, client), asyncio.timeout(2):
        assert (await client.get("/health/ready")).status_code == 503


async def test_readiness_ends_with_the_drain_and_liveness_does_not(sqlite_url: str) -> None:
    async with open_app(sqlite_url) as (app, client):
        app.lifecycle.draining = True
        ready = await client.get("/health/ready")
        live = await client.get("/health/live")
        notes = await client.get(PATH)
    assert (ready.status_code, ready.json()["status"]) == (503, "draining")
    assert live.status_code == 200
    assert (notes.status_code, notes.headers["Connection"]) == (200, "close")


async def test_readiness_is_true_while_the_whole_pool_is_in_use(database_url: str) -> None:
    async with open_app(database_url, database_pool_size=1, database_max_overflow=0) as (
        app,
        client,
    ):
        async with app.database.read():
            ready = await client.get("/health/ready")
            notes = await client.get(PATH)
        assert ready.status_code == 200
        assert (notes.status_code, notes.json()["type"].split("/")[-1]) == (503, "database-busy")
        assert notes.headers["Retry-After"] == "1"
        assert (await client.get(PATH)).status_code == 200


async def test_metrics_count_requests_by_route_template(client: httpx.AsyncClient) -> None:
    await client.post(PATH, json={"text": "x"})
    await client.get(f"{PATH}/00000000-0000-0000-0000-000000000000")
    await client.get("/wp-login.php")
    response = await client.get("/metrics")
    found = samples(response.text)
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    labels = f'method="POST",route="{PATH}"'
    assert found[f'http_requests_total{{{labels},status="201"}}'] == 1
    assert found[f"http_request_duration_seconds_count{{{labels}}}"] == 1
    missed = f'method="GET",route="{PATH}/{{note_id}}",status="404"'
    assert found[f"http_requests_total{{{missed}}}"] == 1
    assert found['http_requests_total{method="any",route="unmatched",status="404"}'] == 1
    assert found["http_requests_in_flight"] == 1


async def test_metrics_show_the_pool(client: httpx.AsyncClient) -> None:
    await client.get(PATH)
    app: Any = client._transport.app  # type: ignore[attr-defined]
    async with app.database.read():
        found = samples((await client.get("/metrics")).text)
    assert found['database_pool_connections{state="in_use"}'] == 1
    assert found['database_pool_connections{state="idle"}'] == 0
    assert found['database_pool_connections{state="overflow"}'] == 0
    assert found["database_pool_wait_seconds_count"] >= 2


async def test_metrics_tell_version_and_revision(sqlite_url: str) -> None:
    async with open_app(sqlite_url, revision="abc123") as (_, client):
        body = (await client.get("/metrics")).text
    assert re.search(r'build_info\{revision="abc123",version="[\d.]+"\} 1.0', body)


async def logged(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, **request: Any) -> list[Any]:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    async with open_app(sqlite_url, log_level="info", log_format="json") as (_, client):
        await client.request(**request)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_each_request_is_one_line_with_its_trace(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    lines = await logged(
        sqlite_url,
        monkeypatch,
        method="GET",
        url=f"{PATH}/00000000-0000-0000-0000-000000000000?secret=1",
        headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "X-Request-ID": "mine"},
    )
    assert len(lines) == 1
    assert lines[0].pop("duration_ms") > 0
    assert lines[0].pop("time").endswith("Z")
    assert lines[0] == {
        "level": "info",
        "logger": "access",
        "method": "GET",
        "route": f"{PATH}/{{note_id}}",
        "status": 404,
        "request_id": "mine",
        "principal": "anonymous",
        "problem": "not-found",
        "trace_id": trace,
    }


async def test_no_body_query_or_key_reaches_the_log(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = await logged(
        sqlite_url,
        monkeypatch,
        method="POST",
        url=f"{PATH}?q=hunter1",
        json={"text": 2, "hunter2": "hunter3"},
        headers={"Authorization": "Bearer hunter4", "X-Request-ID": "hunter5 and more"},
    )
    assert len(lines) == 1
    assert "hunter" not in json.dumps(lines)


async def test_successful_probes_are_not_logged(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await logged(sqlite_url, monkeypatch, method="GET", url="/health/live") == []


async def test_a_request_id_is_answered_and_made_up_when_missing(
    client: httpx.AsyncClient,
) -> None:
    given = await client.get("/health/live", headers={"X-Request-ID": "mine"})
    made = await client.get("/health/live")
    assert given.headers["X-Request-ID"] == "mine"
    assert re.fullmatch("[0-9a-f]{16}", made.headers["X-Request-ID"])


async def test_an_unexpected_error_is_a_500_problem_without_its_message(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_app(sqlite_url) as (app, client):

        async def fail(*_: object) -> None:
            raise RuntimeError("hunter2")

        monkeypatch.setattr(app.database, "rows", fail)
        response = await client.get(PATH)
    assert response.status_code == 500
    assert response.json()["type"] == "/problems/internal"
    assert "hunter2" not in response.text
    assert "x-content-type-options" in response.headers
    assert "RuntimeError: hunter2" in caplog.text


async def test_what_is_logged_during_a_request_has_its_id_and_nothing_afterwards(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    handlers = logging.getLogger().handlers[:]
    settings = settings_for(sqlite_url, log_level="info", log_format="json")
    try:
        logs.configure(settings)
        async with open_app(sqlite_url, log_level="info", log_format="json") as (app, client):

            async def fail(*_: object) -> None:
                raise DatabaseDown("gone") from OSError("gone")

            monkeypatch.setattr(app.database, "rows", fail)
            await client.get(PATH, headers={"X-Request-ID": "mine"})
            logging.getLogger("x").warning("later")
    finally:
        logging.getLogger().handlers[:] = handlers
    warning, access, later = map(json.loads, stream.getvalue().splitlines())
    assert warning["message"] == "database-unavailable: OSError"
    assert (warning["level"], warning["request_id"]) == ("warning", "mine")
    assert (access["status"], access["problem"]) == (503, "database-unavailable")
    assert access["request_id"] == "mine"
    assert "request_id" not in later


def test_text_has_the_same_fields_and_time_and_level_first() -> None:
    record = logging.makeLogRecord(
        {"msg": "%s goes", "args": ("it",), "name": "x", "levelname": "INFO", "more": 1}
    )
    record.created = 1.5
    line = logs.TextFormatter().format(record)
    assert line == "1970-01-01T00:00:01.500Z INFO x: it goes more=1"


def test_a_traceback_stays_in_one_line() -> None:
    try:
        raise RuntimeError("first\nsecond")
    except RuntimeError:
        record = logging.makeLogRecord({"msg": "x", "exc_info": sys.exc_info(), "more": 1})
    line = logs.JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["more"] == 1
    assert "second" in json.loads(line)["exception"]


def test_the_log_level_is_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    assert not logs.AccessLog(settings_for("sqlite:///x", log_level="warning")).enabled
    assert logs.AccessLog(settings_for("sqlite:///x", log_level="info")).enabled
