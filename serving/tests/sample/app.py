"""The sample's application: notes that are written, listed, followed and translated."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Header, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from sqlalchemy import Integer, bindparam, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response
from starlette.websockets import WebSocket

from serving.data.check import DatabaseCheck
from serving.data.database import Database, Query
from serving.data.housekeeping import Housekeeping
from serving.data.idempotency import KeyedRequest
from serving.data.ids import new_id
from serving.data.metrics import DatabaseMetrics
from serving.data.migrate import MigrationAtStart
from serving.data.problems import OF_QUERIES
from serving.data.problems import PROBLEMS as DATABASE_PROBLEMS
from serving.data.problems import TYPES as DATABASE_TYPES
from serving.feed.follower import Feed
from serving.feed.metrics import FeedMetrics
from serving.feed.problems import TYPES as FEED_TYPES
from serving.feed.sockets import Sockets
from serving.tests.sample.identity import IDENTITY
from serving.tests.sample.settings import Settings
from serving.tests.sample.tables import KEYS, LOG, MIGRATIONS, notes
from serving.trace.tracer import tracer_of
from serving.upstream.client import Peer, UpstreamClient
from serving.upstream.errors import UpstreamFailure
from serving.upstream.limits import Limits
from serving.upstream.metrics import UpstreamMetrics
from serving.upstream.problems import PROBLEMS as UPSTREAM_PROBLEMS
from serving.upstream.problems import types
from serving.watch.health import Health
from serving.web.application import Application
from serving.web.catalogue import INVALID_REQUEST, NOT_FOUND, OF_BODIES
from serving.web.contract import problems
from serving.web.operations import operations_routes
from serving.web.problems import Problem
from serving.web.responses import json_response

LIMITS = Limits(
    connect_timeout=0.5,
    read_timeout=0.5,
    total_timeout=2,
    retries=2,
    max_concurrency=4,
    queue_timeout=0.5,
    max_response_bytes=10_000,
    breaker_failures=3,
    breaker_recovery=1,
    probe_interval=0.1,
)
PAGE = Query(
    select(notes.c.id, notes.c.text).order_by(notes.c.id).limit(bindparam("limit", type_=Integer))
)
ONE = Query(select(notes.c.id, notes.c.text).where(notes.c.id == bindparam("note_id")))


class TranslatorFailure(UpstreamFailure):
    """A call of the translator failed."""

    service: ClassVar[str] = "translator"
    title: ClassVar[str] = "the translator"


TYPES = types(TranslatorFailure)


class Draft(BaseModel):
    """What a client says of a note."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=10_000)


class SampleApplication(Application):
    """The application, and those of its components that tests look at."""

    database: Database
    feed: Feed
    health: Health
    translator: UpstreamClient


def create_app(settings: Settings) -> SampleApplication:
    """Make the ASGI application; nothing is connected before its lifespan starts."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if settings.auto_migrate:
            await migration.start()
        translator.start()
        housekeeping.start()
        yield
        await migration.stop()
        await housekeeping.stop()
        await feed.stop()
        await translator.stop()
        await database.close()
        await side.close()

    tracer = tracer_of(settings, IDENTITY)
    app = SampleApplication(
        IDENTITY,
        web=settings,
        watch=settings,
        description="Notes.",
        lifespan=lifespan,
        example="no note has this id",
        types=[*DATABASE_TYPES, *FEED_TYPES, *TYPES],
        tracer=tracer,
    )
    pool_metrics = DatabaseMetrics(app.registry)
    feed_metrics = FeedMetrics(app.registry)
    database = Database(settings, name=IDENTITY.name, on_wait=pool_metrics.waited, tracer=tracer)
    side = Database(settings, name=IDENTITY.name, pool_size=3)
    translator = UpstreamClient(
        _peer(settings),
        LIMITS,
        UpstreamMetrics(app.registry, prefix="translator", title=TranslatorFailure.title),
        TranslatorFailure,
        tracer,
    )
    migration = MigrationAtStart(side, MIGRATIONS)
    housekeeping = Housekeeping(side, [forget])
    health = Health(
        app.lifecycle, required=[DatabaseCheck(side, MIGRATIONS)], observed=[translator.watched]
    )
    feed = Feed(LOG, message=_message, database=side, settings=settings, metrics=feed_metrics)
    sockets = Sockets(
        feed,
        subprotocol="sample.v1",
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
        translator.observe()

    app.database, app.feed, app.health, app.translator = database, feed, health, translator
    operations = operations_routes(health, app.registry, app.api_key, observe)
    app.add_routes([_routes(app), operations], {**DATABASE_PROBLEMS, **UPSTREAM_PROBLEMS})

    @app.websocket("/ws/notes")
    async def follow(websocket: WebSocket) -> None:
        await sockets.serve(websocket)

    return app


async def forget(connection: AsyncConnection) -> None:
    """Remove what is older than a day."""
    await KEYS.forget(connection, timedelta(days=1))
    await LOG.forget(connection, timedelta(days=1))


def _peer(settings: Settings) -> Peer:
    headers = {}
    if settings.translator_key is not None:
        headers["Authorization"] = f"Bearer {settings.translator_key.get_secret_value()}"
    return Peer(
        name="translator", base_url=settings.translator_url, headers=headers, probe_path="health"
    )


def _message(event: Any) -> str:
    return f'{{"id":{event.id},"kind":"{event.kind}","note":{event.payload}}}'


def _routes(app: SampleApplication) -> APIRouter:
    router = APIRouter(
        prefix="/notes", dependencies=[Depends(app.api_key)], route_class=app.api_key.route_class
    )
    database = app.database

    async def read(note_id: UUID) -> dict[str, Any]:
        rows = await database.rows(ONE, {"note_id": note_id})
        if not rows:
            raise Problem(404, "not-found", f"no note has the id {note_id}")
        return dict(rows[0])

    @router.get("", responses=problems(*OF_QUERIES, INVALID_REQUEST))
    async def list_notes(limit: int = 100) -> Response:
        """The oldest notes."""
        rows = await database.rows(PAGE, {"limit": limit})
        return json_response(to_json([dict(row) for row in rows]))

    @router.post("", status_code=201, responses=problems(*DATABASE_TYPES, *OF_BODIES))
    async def write_note(
        request: Request, draft: Draft, idempotency_key: Annotated[str | None, Header()] = None
    ) -> Response:
        """Write a note, once for each Idempotency-Key."""
        note = {"id": new_id(), "text": draft.text}
        async with database.write() as connection:
            if idempotency_key is not None:
                first = await KEYS.remember(
                    connection,
                    KeyedRequest(
                        principal=request.scope["principal"],
                        key=idempotency_key,
                        fingerprint=hashlib.sha256(draft.text.encode()).hexdigest(),
                    ),
                    to_json(note).decode(),
                )
                if first is not None:
                    return json_response(first.response.encode(), 201)
            await connection.execute(insert(notes).values(**note, created_at=datetime.now(UTC)))
            await LOG.record(connection, "created", to_json(note).decode())
        app.feed.poke()
        return json_response(to_json(note), 201, {"Location": f"/notes/{note['id']}"})

    @router.get("/{note_id}", responses=problems(*OF_QUERIES, NOT_FOUND))
    async def read_note(note_id: UUID) -> Response:
        """Read one note."""
        return json_response(to_json(await read(note_id)))

    @router.post("/{note_id}/translation", responses=problems(*OF_QUERIES, NOT_FOUND, *TYPES))
    async def translate(note_id: UUID) -> Response:
        """Have a note translated; no connection is held meanwhile."""
        note = await read(note_id)
        body = {"text": note["text"]}
        return json_response(to_json(await app.translator.post("translate", body, json.loads)))

    return router
