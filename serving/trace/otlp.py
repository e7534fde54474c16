"""Spans by OpenTelemetry's SDK, sent in batches over OTLP/HTTP by a thread of its own."""

import asyncio
import random
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import Token
from http import HTTPStatus
from pathlib import Path

import requests
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from serving.watch.spans import UNTRACED

# An export takes no longer, and at the end nobody waits longer for the last one.
SECONDS = 3.0
_NO_PARENT = Context()
# The system's certificates, which a site may have added its own to.
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


class OtlpRequest:
    """The server's span of one request, current in the request's task.

    Attributes:
        trace_id: 32 hex digits.
    """

    def __init__(self, span: Span, token: Token[Context]) -> None:
        self._span = span
        self._token = token
        self.trace_id = trace.format_trace_id(span.get_span_context().trace_id)

    def end(self, method: str, route: str, status: int) -> None:
        """It has been answered."""
        context.detach(self._token)
        span = self._span
        if not span.is_recording():
            return
        span.update_name(f"{method} {route}")
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.set_status(StatusCode.ERROR)
        span.end()


class OtlpTracer:
    """Makes spans, and sends those that are sampled.

    Args:
        endpoint: the collector's, for traces.
        share: of the traces that begin here.
        name: of the service.
        version: of the service.
    """

    def __init__(self, endpoint: str, *, share: float, name: str, version: str) -> None:
        session = requests.Session()
        # What is in the environment is for others.
        session.trust_env = False
        exporter = OTLPSpanExporter(
            endpoint=endpoint,
            certificate_file=str(_CERTIFICATES) if _CERTIFICATES.exists() else None,
            timeout=SECONDS,
            session=session,
        )
        self._provider = TracerProvider(
            # Of those without a parent, `begin` asks for the ones alone that are recorded.
            sampler=ParentBased(ALWAYS_ON),
            resource=Resource({"service.name": name, "service.version": version}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._share = share
        self._ids = RandomIdGenerator()
        self._tracer = self._provider.get_tracer("serving")
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, scope: Mapping[str, str], path: str) -> OtlpRequest:
        """A request has come; what its task does from now on is part of it."""
        parent = self._propagator.extract(scope) if scope else _NO_PARENT
        # A header may be there and name no trace: a tracestate alone, an id of zeros.
        begins = (
            parent is _NO_PARENT or not trace.get_current_span(parent).get_span_context().is_valid
        )
        if begins and random.random() >= self._share:  # noqa: S311  (a sample)
            # Most requests: the SDK would take five times as long to find that out.
            span: Span = trace.NonRecordingSpan(
                trace.SpanContext(
                    self._ids.generate_trace_id(), self._ids.generate_span_id(), is_remote=False
                )
            )
        else:
            span = self._tracer.start_span(
                "request", parent, kind=SpanKind.SERVER, attributes={"url.path": path}
            )
        return OtlpRequest(span, context.attach(trace.set_span_in_context(span, parent)))

    def inside(self, name: str, attributes: Mapping[str, str]) -> AbstractContextManager[object]:
        """A span around something that waits for another process."""
        if not trace.get_current_span().is_recording():
            return UNTRACED
        return self._tracer.start_as_current_span(
            name,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            # Its text may quote what is secret; the log has it.
            record_exception=False,
        )

    def headers(self) -> Mapping[str, str]:
        """What tells another service of the trace, also that it is not recorded."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier

    async def stop(self) -> None:
        """Send what is left, within a few seconds."""
        await asyncio.to_thread(self._provider.force_flush, round(SECONDS * 1000))
        await asyncio.to_thread(self._provider.shutdown)
