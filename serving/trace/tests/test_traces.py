"""Spans as a collector gets them, and traces that begin before and go on behind the service."""

import json
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from serving.settings.errors import SettingsError
from serving.settings.load import load
from serving.tests.process import Running, imported, packages
from serving.tests.sample.settings import Settings
from serving.tests.service import PATH, open_app
from serving.trace.otlp import OtlpTracer

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-00"}


class Stub:
    """A collector, and at any other path a service that answers; both keep what they are sent."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resource: dict[str, str] = {}
        self.calls: list[dict[str, str]] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/traces":
                    stub.take(ExportTraceServiceRequest.FromString(body))
                    answer = b""
                else:
                    stub.calls.append({name.lower(): value for name, value in self.headers.items()})
                    answer = b'{"text":"hallo"}'
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def take(self, request: ExportTraceServiceRequest) -> None:
        """Keep what a batch holds."""
        for resource in request.resource_spans:
            self.resource = {
                one.key: one.value.string_value for one in resource.resource.attributes
            }
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def span(self, name: str) -> Span:
        """The span of that name, the first one."""
        found = [span for span in self.spans if span.name == name]
        assert found, f"no span {name} among {[span.name for span in self.spans]}"
        return found[0]


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as made:
        yield made


def attributes(span: Span) -> dict[str, Any]:
    return {
        one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes
    }


async def test_a_trace_goes_on_from_the_client_to_database_and_other_service(
    stub: Stub, database_url: str
) -> None:
    options = {"otel_exporter_otlp_endpoint": stub.url, "translator_url": stub.url}
    async with open_app(database_url, **options) as (_, client):
        created = await client.post(PATH, json={"text": "hello"}, headers=SAMPLED)
        path = created.headers["Location"]
        answer = await client.post(f"{path}/translation", headers=SAMPLED)
        assert answer.json() == {"text": "hallo"}
    assert {span.trace_id.hex() for span in stub.spans} == {TRACE}
    assert stub.resource["service.name"] == "sample"

    server = stub.span("POST /notes")
    assert server.parent_span_id.hex() == PARENT
    assert server.kind == Span.SPAN_KIND_SERVER
    assert attributes(server) == {
        "http.request.method": "POST",
        "http.response.status_code": 201,
        "http.route": "/notes",
        "url.path": "/notes",
    }
    system = "sqlite" if database_url.startswith("sqlite") else "postgresql"
    written = stub.span(f"write {system}")
    assert written.parent_span_id == server.span_id
    assert written.kind == Span.SPAN_KIND_CLIENT
    assert attributes(written) == {"db.system.name": system, "db.operation.name": "write"}

    translated = stub.span("POST /notes/{note_id}/translation")
    children = {span.name for span in stub.spans if span.parent_span_id == translated.span_id}
    assert children == {f"read {system}", "POST translator"}
    # What the other service is told is that its work is part of the call.
    [call] = stub.calls
    asked = stub.span("POST translator").span_id.hex()
    assert call["traceparent"] == f"00-{TRACE}-{asked}-01"


async def test_what_the_client_does_not_record_is_not_sent_but_passed_on(
    stub: Stub, sqlite_url: str
) -> None:
    options = {"otel_exporter_otlp_endpoint": stub.url, "translator_url": stub.url}
    async with open_app(sqlite_url, **options) as (_, client):
        created = await client.post(PATH, json={"text": "hello"}, headers=UNSAMPLED)
        await client.post(f"{created.headers['Location']}/translation", headers=UNSAMPLED)
    assert stub.spans == []
    [call] = stub.calls
    assert call["traceparent"].startswith(f"00-{TRACE}-")
    assert call["traceparent"].endswith("-00")


async def test_without_a_traceparent_a_trace_begins_and_probes_have_none(
    stub: Stub, sqlite_url: str
) -> None:
    async with open_app(sqlite_url, otel_exporter_otlp_endpoint=stub.url) as (_, client):
        for path in (PATH, PATH, "/health/live", "/metrics", "/nowhere"):
            await client.get(path)
    servers = [span for span in stub.spans if span.kind == Span.SPAN_KIND_SERVER]
    assert [span.name for span in servers] == ["GET /notes", "GET /notes", "any unmatched"]
    assert {span.parent_span_id for span in servers} == {b""}
    assert len({span.trace_id for span in servers}) == 3


async def test_a_failed_request_is_an_error_and_a_client_s_mistake_is_none(
    stub: Stub, sqlite_url: str
) -> None:
    options = {"otel_exporter_otlp_endpoint": stub.url, "translator_url": "http://127.0.0.1:9"}
    async with open_app(sqlite_url, **options) as (_, client):
        created = await client.post(PATH, json={"text": "hello"})
        await client.post(f"{created.headers['Location']}/translation")
        await client.post(PATH, json={"nonsense": 1})
    states = [
        span.status.code
        for span in stub.spans
        if span.kind == Span.SPAN_KIND_SERVER and span.name != "GET /notes"
    ]
    assert states == [
        Status.STATUS_CODE_UNSET,
        Status.STATUS_CODE_ERROR,
        Status.STATUS_CODE_UNSET,
    ]


@pytest.mark.parametrize(
    "scope",
    [
        {"tracestate": "vendor=1"},
        {"traceparent": f"00-{'0' * 32}-{PARENT}-01"},
        {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
    ],
    ids=["tracestate alone", "trace of zeros", "parent of zeros"],
)
async def test_a_header_that_names_no_trace_takes_none_out_of_the_sample(
    stub: Stub, scope: dict[str, str]
) -> None:
    tracer = OtlpTracer(f"{stub.url}/v1/traces", share=0.0, name="x", version="1")
    request = tracer.begin(scope, "/")
    request.end("GET", "/", 200)
    await tracer.stop()
    assert stub.spans == []
    assert request.trace_id not in {"0" * 32, TRACE}


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.5, 60, 140), (1.0, 200, 200)])
async def test_a_share_of_the_traces_that_begin_here_is_recorded(
    stub: Stub, share: float, low: int, high: int
) -> None:
    tracer = OtlpTracer(f"{stub.url}/v1/traces", share=share, name="x", version="1")
    for _ in range(200):
        tracer.begin({}, "/").end("GET", "/", 200)
    await tracer.stop()
    assert low <= len(stub.spans) <= high


def test_the_log_names_the_trace_and_the_end_waits_for_the_last_spans(
    stub: Stub, sqlite_url: str
) -> None:
    with Running(
        DATABASE_URL=sqlite_url, LOG_LEVEL="info", OTEL_EXPORTER_OTLP_ENDPOINT=stub.url
    ) as running:
        running.wait_ready()
        httpx.get(f"{running.url}{PATH}", timeout=30)
        running.terminate()
        assert running.process.wait(30) == 0
        [line] = [one for one in running.lines() if one["logger"] == "access"]
    assert stub.span("GET /notes").trace_id.hex() == line["trace_id"]


@pytest.mark.complains("opentelemetry.exporter")
def test_a_collector_that_is_gone_hinders_neither_requests_nor_the_end(sqlite_url: str) -> None:
    with Running(
        DATABASE_URL=sqlite_url,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        DRAIN_SECONDS="0",
    ) as running:
        running.wait_ready()
        for _ in range(20):
            assert httpx.get(f"{running.url}{PATH}", timeout=30).status_code == 200
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(30) == 0


def test_without_a_collector_nothing_of_it_is_imported() -> None:
    script = (
        "from serving.tests.sample.app import create_app\n"
        "from serving.tests.sample.settings import Settings\n"
        "create_app(Settings()).openapi()"
    )
    modules = imported(script)
    assert not packages(modules) & {"google", "requests", "urllib3"}
    assert not {name for name in modules if name.startswith("opentelemetry.sdk")}


@pytest.mark.parametrize(
    "url", ["collector:4318", "ftp://c", "http://", "http://u:p@c", "http://c:x"]
)
def test_a_collector_has_an_http_url(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    with pytest.raises(SettingsError) as caught:
        load(Settings)
    [problem] = caught.value.problems
    assert problem.endswith("expected an http:// or https:// URL without user, password and query")
    assert "u:p" not in problem


def test_in_production_one_trace_in_a_hundred_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "prod")
    monkeypatch.setenv("AUTH_REQUIRED", "false")
    assert load(Settings).otel_traces_sampler_arg == 0.01
    assert json.loads(load(Settings).shown()["OTEL_TRACES_SAMPLER_ARG"]) == 0.01
