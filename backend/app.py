from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import Column, DateTime, MetaData, String, Table, Uuid, insert, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from backend import __version__
from backend.settings import Settings

metadata = MetaData()
todos = Table(
    "todos",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("title", String(200), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)


class TodoDraft(BaseModel):
    """What a client sends to create a todo."""

    title: str = Field(min_length=1, max_length=200)


class Todo(TodoDraft):
    """A stored todo."""

    id: UUID
    created_at: AwareDatetime


def engine_of(request: Request) -> AsyncEngine:
    """The engine that the lifespan opened."""
    engine: AsyncEngine = request.app.state.engine
    return engine


Engine = Annotated[AsyncEngine, Depends(engine_of)]


def create_app(settings: Settings) -> FastAPI:
    """Make the ASGI application; nothing is connected before its lifespan starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        url = make_url(settings.database_url).set(drivername="sqlite+aiosqlite")
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        app.state.engine = engine
        yield
        await engine.dispose()

    app = FastAPI(title="Todo", version=__version__, lifespan=lifespan)

    @app.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/health/ready")
    async def ready(engine: Engine) -> dict[str, str]:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        return {"status": "ok"}

    @app.post("/api/v1/todos", status_code=201)
    async def create(draft: TodoDraft, engine: Engine) -> Todo:
        todo = Todo(id=uuid4(), title=draft.title, created_at=datetime.now(UTC))
        async with engine.begin() as connection:
            await connection.execute(insert(todos).values(todo.model_dump()))
        return todo

    @app.get("/api/v1/todos/{todo_id}")
    async def read(todo_id: UUID, engine: Engine) -> Todo:
        async with engine.connect() as connection:
            row = (await connection.execute(select(todos).where(todos.c.id == todo_id))).first()
        if row is None:
            raise HTTPException(404, f"no todo has the id {todo_id}")
        return Todo(id=row.id, title=row.title, created_at=row.created_at.replace(tzinfo=UTC))

    @app.get("/api/v1/todos")
    async def page(engine: Engine) -> list[Todo]:
        async with engine.connect() as connection:
            rows = (await connection.execute(select(todos).order_by(todos.c.id))).all()
        return [
            Todo(id=row.id, title=row.title, created_at=row.created_at.replace(tzinfo=UTC))
            for row in rows
        ]

    return app
