"""The peer: one FastAPI handler over asyncpg that does the service's query and nothing else.

No logging, metrics, authentication, limits or filters; what a tutorial would write.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import asyncpg
import uvicorn
from fastapi import FastAPI, Query
from pydantic import BaseModel

from backend.todos.models import Todo
from backend.todos.tables import PRIORITIES

QUERY = (
    "SELECT id, title, description, state, priority, due, tags, version, created_at, updated_at "
    "FROM todos ORDER BY created_at DESC, id DESC LIMIT $1"
)


class Page(BaseModel):
    """The service's response, too."""

    items: list[Todo]
    next_cursor: str | None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold a pool of the service's size."""
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=10, max_size=15) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/api/v1/todos")
async def list_todos(limit: Annotated[int, Query(ge=1, le=100)] = 20) -> Page:
    """One page of todos."""
    rows = await app.state.pool.fetch(QUERY, limit + 1)
    items = [Todo(**{**row, "priority": PRIORITIES[row["priority"]]}) for row in rows[:limit]]
    return Page(items=items, next_cursor=None)


@app.get("/api/v1/todos/{todo_id}")
async def read_todo(todo_id: str) -> Todo:
    """One todo."""
    row = await app.state.pool.fetchrow(
        "SELECT id, title, description, state, priority, due, tags, version, created_at, "
        "updated_at FROM todos WHERE id = $1",
        todo_id,
    )
    return Todo(**{**row, "priority": PRIORITIES[row["priority"]]})


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
