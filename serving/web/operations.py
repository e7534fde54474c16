"""The routes for those who run a service: health and metrics."""

from collections.abc import Callable

from fastapi import APIRouter, Depends
from starlette.responses import Response

from serving.watch.health import Health, Report
from serving.watch.registry import CONTENT_TYPE, Registry
from serving.web.contract import Responses, problems
from serving.web.responses import json_response
from serving.web.security import ApiKey

# What says who is well: a kubelet has no key.
PROBES = frozenset({"/health/live", "/health/ready", "/health/startup"})

_ALWAYS = problems(keyed=False)
_UNREADY: Responses = {
    **_ALWAYS,
    503: {
        **_ALWAYS[503],
        "description": "Not now. " + _ALWAYS[503]["description"],
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Report"}},
            **_ALWAYS[503]["content"],
        },
    },
}


class Exposition(Response):
    """Metrics in Prometheus' text format."""

    media_type = "text/plain"


def operations_routes(
    health: Health, registry: Registry, api_key: ApiKey, observe: Callable[[], None] | None = None
) -> APIRouter:
    """Routes for probes and for Prometheus.

    Args:
        health: answers the probes, to everybody.
        registry: of the metrics, which need a key where one is required.
        api_key: the dependency that demands it.
        observe: brings gauges up to date that nothing else sets.
    """
    router = APIRouter(tags=["operations"])

    @router.get("/health/live", operation_id="live", response_model=Report, responses=_ALWAYS)
    async def live() -> Response:
        """Whether the process works. It asks nothing else: a restart would mend nothing else."""
        return _answer(health.live())

    @router.get("/health/ready", operation_id="ready", response_model=Report, responses=_UNREADY)
    async def ready() -> Response:
        """Whether to send requests here: database reachable, schema current, not shutting down."""
        return _answer(await health.ready())

    @router.get(
        "/health/startup", operation_id="startup", response_model=Report, responses=_UNREADY
    )
    async def startup() -> Response:
        """Whether the start is over: ready once, started for good."""
        return _answer(await health.startup())

    @router.get(
        "/metrics",
        operation_id="metrics",
        dependencies=[Depends(api_key)],
        response_class=Exposition,
        responses=problems(),
    )
    async def metrics() -> Response:
        """Metrics in Prometheus' text format."""
        if observe is not None:
            observe()
        return Response(registry.expose(), headers={"Content-Type": CONTENT_TYPE})

    return router


def _answer(report: Report) -> Response:
    healthy = report.status in {"ok", "degraded"}
    return json_response(report.model_dump_json().encode(), 200 if healthy else 503)
