"""Spans of the todo service as a collector hands them on that is not ours."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from backend.tests import process
from tests.operations.collector import Collector
from tools.dev.ai import AiStub

TRACE = "0af7651916cd43dd8448eb211c80319c"
CLIENT = "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{CLIENT}-01"}


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    with Collector(Path(os.environ["COLLECTOR"]), tmp_path) as running:
        yield running


@pytest.mark.postgresql
def test_a_collector_hands_on_the_server_s_span_with_those_of_database_and_ai_service(
    collector: Collector, empty_postgres_url: str
) -> None:
    with AiStub() as ai:
        with process.Running(
            DATABASE_URL=empty_postgres_url,
            AI_BASE_URL=ai.url,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        ) as service:
            service.wait_ready()
            with httpx.Client(base_url=service.url, headers=SAMPLED, timeout=30) as client:
                created = client.post("/api/v1/todos", json={"title": "water the plants"})
                path = created.headers["Location"]
                assert client.post(f"{path}/suggestions").status_code == 200
            service.terminate()
            assert service.process.wait(30) == 0
        [call] = ai.exchanges
    found = {span.name: span for span in collector.spans("todo-backend", 5)}
    assert {span.trace_id.hex() for span in found.values()} == {TRACE}

    server = found["POST /api/v1/todos/{todo_id}/suggestions"]
    assert server.kind == Span.SPAN_KIND_SERVER
    assert server.parent_span_id.hex() == CLIENT
    children = {name for name, span in found.items() if span.parent_span_id == server.span_id}
    assert children == {"read postgresql", "POST ai"}
    assert all(found[name].kind == Span.SPAN_KIND_CLIENT for name in children)
    assert found["write postgresql"].parent_span_id == found["POST /api/v1/todos"].span_id
    # The AI service is told that it is part of the span of the call.
    told = re.search(r"^traceparent: (\S+)", call.header, re.MULTILINE | re.IGNORECASE)
    assert told is not None
    assert told[1] == f"00-{TRACE}-{found['POST ai'].span_id.hex()}-01"
