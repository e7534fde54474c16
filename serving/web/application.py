"""The ASGI application of a service: FastAPI, with the gate around it and problems for errors."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Lifespan

from serving.identity import Identity
from serving.watch.lifecycle import Lifecycle
from serving.watch.logs import AccessLog
from serving.watch.metrics import RequestMetrics, tell_build
from serving.watch.registry import Registry
from serving.watch.settings import WatchSettings
from serving.watch.spans import Tracer
from serving.web.catalogue import ProblemType, catalogue
from serving.web.contract import complete
from serving.web.explanations import explanations
from serving.web.gate import Gate
from serving.web.operations import PROBES
from serving.web.origins import Origins
from serving.web.problems import Problems, Translations
from serving.web.security import ApiKey, Keys
from serving.web.settings import WebSettings

# Of the routes that every service has.
TAGS = {
    "operations": "For those who run the service: probes and metrics.",
    "problems": "What the types of problems mean.",
}


class LongLived(Protocol):
    """Connections that no request ends, such as WebSockets.

    Attributes:
        open: how many there are.
    """

    @property
    def open(self) -> int:
        """How many there are."""

    def close(self) -> None:
        """Begin to end all of them."""


def _stopped_after(
    lifespan: Lifespan["Application"] | None, tracer: Tracer
) -> Lifespan["Application"]:
    @asynccontextmanager
    async def traced(app: "Application") -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            # Last: what ends before may still tell it something.
            stack.push_async_callback(tracer.stop)
            if lifespan is not None:
                await stack.enter_async_context(lifespan(app))
            yield

    return traced


class Application(FastAPI):
    """What a service's `create_app` returns.

    Attributes:
        identity: what the service is called.
        lifecycle: where the process stands.
        registry: of the metrics; whatever measures registers its own there.
        keys: the valid API keys.
        api_key: the dependency that demands one.
        origins: which pages may call.
        problems: writes problem documents.
        problem_types: all that its responses may have.
        long_lived: what has to be closed before the process can end.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        web: WebSettings,
        watch: WatchSettings,
        description: str,
        lifespan: Lifespan["Application"] | None = None,
        example: str = "there is nothing at this path",
        types: Iterable[ProblemType] = (),
        tags: Mapping[str, str] | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """Make an application without routes; nothing is connected before its lifespan starts.

        Args:
            identity: what the service is called.
            web: the section of keys, origins and limits.
            watch: the section of logs and metrics.
            description: of the OpenAPI document.
            lifespan: what runs around the serving, as FastAPI has it.
            example: the detail of a 404, for the document's example of a problem.
            types: of the problems that the service's rooms answer with, besides those that every
                service has.
            tags: of the routes, and what each is about.
            tracer: told of each request, and stopped at the end.
        """
        self.identity = identity
        self.lifecycle = Lifecycle()
        self.registry = Registry()
        self.keys = Keys(web)
        self.api_key = ApiKey(
            self.keys,
            "An API key as a bearer token (RFC 6750). The operator makes one with the service's "
            "command `new-key`.",
        )
        self.origins = Origins(web)
        self.problems = Problems()
        self.problem_types = catalogue(types)
        self.long_lived: list[LongLived] = []
        self._web = web
        self._watch = watch
        self._tracer = tracer
        self._metrics = RequestMetrics(self.registry)
        self._example = example
        tell_build(self.registry, version=identity.version, revision=watch.revision)
        super().__init__(
            title=identity.title,
            version=identity.version,
            description=description,
            openapi_tags=[
                {"name": name, "description": about}
                for name, about in {**(tags or {}), **TAGS}.items()
            ],
            lifespan=lifespan if tracer is None else _stopped_after(lifespan, tracer),
            openapi_url="/openapi.json" if web.docs_enabled else None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            separate_input_output_schemas=False,
            # Metrics and logs are our own; looking for OpenTelemetry on each request is not free.
            telemetry={"tracing": False, "metrics": False, "logs": False},
        )

    def add_routes(
        self,
        routers: Sequence[APIRouter],
        translations: Translations | None = None,
        *,
        public: Collection[str] = PROBES,
    ) -> None:
        """Take in all routes at once, and answer their errors with problems.

        Args:
            routers: every router there is, operations included.
            translations: errors of the rooms that the routes use, and their problems.
            public: paths of those that are for everybody, with or without a key.

        Raises:
            ValueError: a route besides those would never ask for a key.
        """
        routers = [*routers, explanations(self.problem_types, self.api_key)]
        routes = [route for router in routers for route in router.routes]
        self._check_keys(routes, public)
        self.problems.install(self, routes, translations or {})
        for router in routers:
            self.include_router(router)
        if self._web.docs_enabled:
            from serving.web.docs import docs_routes  # noqa: PLC0415

            self.include_router(docs_routes(self.identity.title))
        self.origins.allow(self)

    def _check_keys(self, routes: Iterable[BaseRoute], public: Collection[str]) -> None:
        """A service with keys whose routes ask for none would look protected, and be open."""
        unkeyed = [
            route.path
            for route in routes
            if isinstance(route, APIRoute)
            and route.path not in public
            and all(each.call is not self.api_key for each in route.dependant.dependencies)
        ]
        if unkeyed:
            raise ValueError(
                f"{', '.join(sorted(set(unkeyed)))}: expected routes that ask for an API key where "
                "one is required. Make their router by APIRouter(dependencies=[Depends("
                "app.api_key)], route_class=app.api_key.route_class), or name what is for "
                "everybody in add_routes(public=...)"
            )

    def build_middleware_stack(self) -> ASGIApp:
        """The gate, then what FastAPI would have."""
        return Gate(
            super().build_middleware_stack(),
            settings=self._web,
            lifecycle=self.lifecycle,
            metrics=self._metrics,
            log=AccessLog(self._watch),
            problems=self.problems,
            tracer=self._tracer,
        )

    def openapi(self) -> dict[str, Any]:
        """The document, with the problem schema that the routes refer to."""
        if self.openapi_schema is None:
            document = super().openapi()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(self.problems.schemas(self._example))
            complete(document, self.problem_types)
        assert self.openapi_schema is not None  # noqa: S101
        return self.openapi_schema
