"""The image serves todos with nothing beside it: SQLite on its /tmp."""

import httpx

from tests.container.bundle import SecurityContext
from tests.container.limits import LIMITS
from tests.container.runtime import Runtime, Unpacked

URL = "http://127.0.0.1:8000"
READY_SECONDS = 30.0


def ready() -> bool:
    try:
        return httpx.get(f"{URL}/health/ready", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def test_the_image_serves_todos(
    runtime: Runtime, image: Unpacked, context: SecurityContext
) -> None:
    container = runtime.start(image, context, name="backend", limits=LIMITS)
    try:
        container.until(ready, "ready", READY_SECONDS)
        created = httpx.post(f"{URL}/api/v1/todos", json={"title": "Water the plants"})
        assert created.status_code == 201, created.text

        read = httpx.get(f"{URL}{created.headers['location']}")
    finally:
        container.remove()

    assert read.status_code == 200, read.text
    assert read.json()["title"] == "Water the plants"
