"""The routes for those who run the service: health and metrics."""

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from backend.todos.routes import json_response, service_of
from serving.watch.health import Report
from serving.watch.metrics import CONTENT_TYPE
from serving.web.security import ApiKey

router = APIRouter(tags=["operations"])

_UNREADY: dict[int | str, dict[str, Any]] = {503: {"model": Report, "description": "Not now."}}


def _answer(report: Report) -> Response:
    healthy = report.status in {"ok", "degraded"}
    return json_response(report.model_dump_json().encode(), 200 if healthy else 503)


@router.get("/health/live", operation_id="live", response_model=Report)
async def live(request: Request) -> Response:
    """Whether the process works. It asks nothing else: a restart would mend nothing else."""
    return _answer(service_of(request).health.live())


@router.get("/health/ready", operation_id="ready", response_model=Report, responses=_UNREADY)
async def ready(request: Request) -> Response:
    """Whether to send requests here: database reachable, schema current, not shutting down."""
    return _answer(await service_of(request).health.ready())


@router.get("/health/startup", operation_id="startup", response_model=Report, responses=_UNREADY)
async def startup(request: Request) -> Response:
    """Whether the start is over: ready once, started for good."""
    return _answer(await service_of(request).health.startup())


@router.get(
    "/metrics",
    operation_id="metrics",
    dependencies=[Depends(ApiKey())],
    responses={200: {"content": {"text/plain": {}}}},
)
async def metrics(request: Request) -> Response:
    """Metrics in Prometheus' text format."""
    service = service_of(request)
    service.observe_pool()
    return Response(service.metrics.expose(), headers={"Content-Type": CONTENT_TYPE})
