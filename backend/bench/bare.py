"""The peer: FastAPI handlers over asyncpg that do the service's queries and nothing else.

A change writes the two rows that the service's does, the todo's and its event's, in one
transaction; nothing sees to the order of the events.

No logging, metrics, authentication, limits or filters; what a tutorial would write.
"""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

import asyncpg
import uvicorn
from fastapi import FastAPI, Query
from pydantic import BaseModel

from backend.todos.models import Todo, TodoDraft
from backend.todos.tables import PRIORITIES
from serving.data.ids import new_id

QUERY = (
    "SELECT id, title, description, state, priority, due, tags, version, created_at, updated_at "
    "FROM todos ORDER BY created_at DESC, id DESC LIMIT $1"
)
CREATE = (
    "INSERT INTO todos (id, title, description, state, priority, due, tags, version, created_at, "
    "updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8) RETURNING *"
)
CHANGE = (
    "UPDATE todos SET title = $2, description = $3, state = $4, priority = $5, due = $6, "
    "tags = $7, version = version + 1, updated_at = $8 WHERE id = $1 RETURNING *"
)
DELETE = "DELETE FROM todos WHERE id = $1 RETURNING version"
EVENT = "INSERT INTO todo_events (kind, todo_id, payload, created_at) VALUES ($1, $2, $3, $4)"


class Page(BaseModel):
    """The service's response, too."""

    items: list[Todo]
    next_cursor: str | None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold a pool of the service's size."""
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=5, max_size=15) as pool:
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


@app.post("/api/v1/todos", status_code=201)
async def create_todo(draft: TodoDraft) -> Todo:
    """Create a todo."""
    return await _write(CREATE, "created", new_id(), draft)


@app.put("/api/v1/todos/{todo_id}")
async def replace_todo(todo_id: uuid.UUID, draft: TodoDraft) -> Todo:
    """Replace a todo."""
    return await _write(CHANGE, "updated", todo_id, draft)


@app.delete("/api/v1/todos/{todo_id}", status_code=204)
async def delete_todo(todo_id: uuid.UUID) -> None:
    """Delete a todo."""
    async with app.state.pool.acquire() as connection, connection.transaction():
        version = await connection.fetchval(DELETE, todo_id)
        payload = f'{{"id":"{todo_id}","version":{version}}}'
        await connection.execute(EVENT, "deleted", todo_id, payload, datetime.now(UTC))


async def _write(statement: str, kind: str, todo_id: uuid.UUID, draft: TodoDraft) -> Todo:
    now = datetime.now(UTC)
    async with app.state.pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(
            statement,
            todo_id,
            draft.title,
            draft.description,
            draft.state.value,
            PRIORITIES.index(draft.priority.value),
            draft.due,
            draft.tags,
            now,
        )
        todo = Todo(**{**row, "priority": PRIORITIES[row["priority"]]})
        await connection.execute(EVENT, kind, todo_id, todo.model_dump_json(), now)
    return todo


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
