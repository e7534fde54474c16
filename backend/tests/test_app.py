from pathlib import Path

import httpx

from backend.app import create_app
from backend.settings import Settings


async def test_a_created_todo_can_be_read_back(tmp_path: Path) -> None:
    app = create_app(Settings(database_url=f"sqlite:///{tmp_path / 'todos.db'}"))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        created = await client.post("/api/v1/todos", json={"title": "water the plants"})
        read = await client.get(f"/api/v1/todos/{created.json()['id']}")
    assert created.status_code == 201
    assert read.json() == created.json()
