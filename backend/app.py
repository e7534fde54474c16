from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from backend import __version__
from backend.service import Service
from backend.settings import Settings
from backend.todos import routes as api
from serving.web import operations, problems
from serving.web.gate import Gate

DESCRIPTION = """\
Todos with optimistic concurrency, idempotent creation, a change feed and suggestions by an AI
service. Errors are problem documents (RFC 9457). Times are RFC 3339 in UTC. The change feed is a
WebSocket at `/ws/todos`; see docs/websocket.md.
"""


class TodoApp(FastAPI):
    """FastAPI, with the gate around everything else it has."""

    def build_middleware_stack(self) -> ASGIApp:
        """The gate, then what FastAPI would have."""
        return Gate(super().build_middleware_stack(), self.state.service)

    def openapi(self) -> dict[str, Any]:
        """The document, with the problem schema that the routes refer to."""
        if self.openapi_schema is None:
            document = super().openapi()
            schemas = document["components"]["schemas"]
            schemas["ProblemDetails"] = problems.ProblemDetails.model_json_schema(
                ref_template="#/components/schemas/{model}"
            )
            # FastAPI's own 422 body, which no route answers with.
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
        assert self.openapi_schema is not None  # noqa: S101
        return self.openapi_schema


def create_app(settings: Settings) -> FastAPI:
    """Make the ASGI application; nothing is connected before its lifespan starts."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = TodoApp(
        title="Todo",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url="/openapi.json" if settings.docs_enabled else None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        # Metrics and logs are our own; looking for OpenTelemetry on each request is not free.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    service = app.state.service = Service(settings)
    routers = (api.router, api.ai_router, operations.router)
    problems.install(app, [route for one in routers for route in one.routes])
    for router in routers:
        app.include_router(router)
    if settings.docs_enabled:
        from serving.web import docs  # noqa: PLC0415

        app.include_router(docs.router)
    if settings.cors_origins:
        _allow_origins(app, settings)

    @app.websocket("/ws/todos")
    async def follow(websocket: WebSocket) -> None:
        await service.sockets.serve(websocket)

    return app


def _allow_origins(app: FastAPI, settings: Settings) -> None:
    from starlette.middleware.cors import CORSMiddleware  # noqa: PLC0415

    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "If-Match",
            "If-None-Match",
            "Traceparent",
            "X-Request-ID",
        ],
        expose_headers=["ETag", "Location", "Retry-After", "X-Request-ID"],
        max_age=600,
    )
