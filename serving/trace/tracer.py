"""The tracer of a process, if there is one."""

from serving.identity import Identity
from serving.trace.settings import TraceSettings
from serving.watch.spans import Tracer


def tracer_of(settings: TraceSettings, identity: Identity) -> Tracer | None:
    """A tracer where a collector is named; otherwise nothing of OpenTelemetry is imported."""
    if settings.otel_exporter_otlp_endpoint is None:
        return None
    from serving.trace.otlp import OtlpTracer  # noqa: PLC0415

    return OtlpTracer(
        f"{settings.otel_exporter_otlp_endpoint}/v1/traces",
        share=settings.otel_traces_sampler_arg,
        name=identity.name,
        version=identity.version,
    )
