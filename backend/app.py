"""The application: every component is made here, and given what it uses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.websockets import WebSocket

from backend.identity import IDENTITY
from backend.schema import MIGRATIONS
from backend.settings import Settings
from backend.suggestions.client import AiClient
from backend.suggestions.errors import AiFailure
from backend.suggestions.problems import PROBLEMS as AI_PROBLEMS
from backend.suggestions.problems import TYPES as AI_TYPES
from backend.suggestions.routes import suggestion_routes
from backend.todos.events import LOG, message
from backend.todos.problems import PROBLEMS as TODO_PROBLEMS
from backend.todos.problems import TYPES as TODO_TYPES
from backend.todos.routes import todo_routes
from backend.todos.store import KEYS
from serving.data.check import DatabaseCheck
from serving.data.database import Database
from serving.data.housekeeping import Housekeeping
from serving.data.metrics import DatabaseMetrics
from serving.data.migrate import MigrationAtStart
from serving.data.problems import PROBLEMS as DATABASE_PROBLEMS
from serving.data.problems import TYPES as DATABASE_TYPES
from serving.feed.description import PATH as DESCRIPTION_PATH
from serving.feed.description import description_routes, document
from serving.feed.follower import Feed
from serving.feed.metrics import FeedMetrics
from serving.feed.problems import TYPES as FEED_TYPES
from serving.feed.sockets import Sockets
from serving.trace.tracer import tracer_of
from serving.upstream.metrics import UpstreamMetrics
from serving.watch.health import Health
from serving.web.application import Application
from serving.web.operations import PROBES, operations_routes

DESCRIPTION = """\
Todos with optimistic concurrency, idempotent creation, a change feed and suggestions by an AI
service. Errors are problem documents (RFC 9457). Times are RFC 3339 in UTC. The change feed is a
WebSocket at `/ws/todos`, described by the AsyncAPI document `/asyncapi.json`.
"""
TAGS = {
    "todos": "Todos: created, read, listed page by page, changed under a condition, deleted.",
    "ai": "What the AI service makes of a text or a todo. It stores nothing.",
}
SUBPROTOCOL = "todo.v1"
FEED_PATH = "/ws/todos"


class TodoApplication(Application):
    """The application, and those of its components that tests look at.

    Attributes:
        database: the pool of the requests.
        ai: the client of the AI service.
        feed: the change feed.
        health: what answers the probes.
        housekeeping: what removes old rows.
    """

    database: Database
    ai: AiClient
    feed: Feed
    health: Health
    housekeeping: Housekeeping

    def asyncapi(self) -> dict[str, Any]:
        """The document of the change feed, for AsyncAPI's tools."""
        todo = {"$ref": "#/components/schemas/Todo"}
        gone = {
            "type": "object",
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "version": {"type": "integer", "minimum": 1},
            },
            "required": ["id", "version"],
            "additionalProperties": False,
        }
        return document(
            title=IDENTITY.title,
            version=IDENTITY.version,
            address=FEED_PATH,
            subprotocol=SUBPROTOCOL,
            member="todo",
            payloads={"created": todo, "updated": todo, "deleted": gone},
            openapi=self.openapi(),
        )


def create_app(settings: Settings) -> TodoApplication:
    """Make the ASGI application; nothing is connected before its lifespan starts."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if settings.auto_migrate:
            await migration.start()
        ai.start()
        housekeeping.start()
        yield
        await migration.stop()
        await housekeeping.stop()
        await feed.stop()
        await ai.stop()
        await database.close()
        await side.close()

    tracer = tracer_of(settings, IDENTITY)
    app = TodoApplication(
        IDENTITY,
        web=settings,
        watch=settings,
        description=DESCRIPTION,
        lifespan=lifespan,
        example="no todo has the id 0199f0c6-0000-7000-8000-000000000000",
        types=[*DATABASE_TYPES, *FEED_TYPES, *TODO_TYPES, *AI_TYPES],
        tags=TAGS,
        tracer=tracer,
    )
    pool_metrics = DatabaseMetrics(app.registry)
    feed_metrics = FeedMetrics(app.registry)
    ai_metrics = UpstreamMetrics(app.registry, prefix="ai", title=AiFailure.title)
    database = Database(settings, name=IDENTITY.name, on_wait=pool_metrics.waited, tracer=tracer)
    # For probes and the feed, which must work while the pool is in full use.
    side = Database(settings, name=IDENTITY.name, pool_size=3)
    ai = AiClient(settings, ai_metrics, tracer)
    migration = MigrationAtStart(side, MIGRATIONS)
    housekeeping = _housekeeping(side, settings)
    health = Health(
        app.lifecycle, required=[DatabaseCheck(side, MIGRATIONS)], observed=[ai.watched]
    )
    feed = Feed(LOG, message=message, database=side, settings=settings, metrics=feed_metrics)
    sockets = Sockets(
        feed,
        subprotocol=SUBPROTOCOL,
        settings=settings,
        keys=app.keys,
        origins=app.origins,
        lifecycle=app.lifecycle,
        metrics=feed_metrics,
        problems=app.problems,
    )
    app.long_lived.append(sockets)

    def observe() -> None:
        pool_metrics.observe(database)
        ai.observe()

    routers = [
        todo_routes(database, feed, app.api_key),
        suggestion_routes(database, ai, app.api_key),
        operations_routes(health, app.registry, app.api_key, observe),
    ]
    if settings.docs_enabled:
        routers.append(description_routes(app.asyncapi))
    app.add_routes(
        routers,
        {**DATABASE_PROBLEMS, **TODO_PROBLEMS, **AI_PROBLEMS},
        public={*PROBES, DESCRIPTION_PATH},
    )

    @app.websocket(FEED_PATH)
    async def follow(websocket: WebSocket) -> None:
        await sockets.serve(websocket)

    app.database, app.ai, app.feed = database, ai, feed
    app.health, app.housekeeping = health, housekeeping
    return app


def _housekeeping(database: Database, settings: Settings) -> Housekeeping:
    keys = timedelta(hours=settings.idempotency_hours)
    events = timedelta(hours=settings.event_retention_hours)

    async def forget_keys(connection: AsyncConnection) -> None:
        await KEYS.forget(connection, keys)

    async def forget_events(connection: AsyncConnection) -> None:
        await LOG.forget(connection, events)

    return Housekeeping(database, [forget_keys, forget_events])
