"""The fields of the log are the ones that docs/operate.md has."""

import io
import json
import logging
import re
import sys
from pathlib import Path

import pytest

from backend.tests.conftest import open_app, settings_for
from serving.watch import logs
from serving.web.security import new_key

PAGE = Path(__file__).parents[2] / "docs/operate.md"
PATH = "/api/v1/todos"


def documented() -> dict[str, str]:
    """Where each field is found, by the page."""
    _, _, text = PAGE.read_text().partition("## Logs\n")
    text, _, _ = text.partition("\n### ")
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text, re.MULTILINE))


async def test_the_fields_of_the_log_are_the_documented_ones(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    options = {"log_level": "info", "log_format": "json"}
    before = logging.getLogger().handlers[:]
    logs.configure(settings_for(sqlite_url, **options))
    key, entry = new_key("web")
    logging.getLogger("outside of a request").warning("something")
    try:
        async with open_app(sqlite_url, api_keys=(entry,), **options) as (app, client):
            client.headers["Authorization"] = f"Bearer {key}"
            trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
            await client.get(PATH, headers={"traceparent": trace})
            await client.get(f"{PATH}?nonsense=1")

            async def fail(*_: object) -> None:
                raise RuntimeError("a defect")

            monkeypatch.setattr(app.database, "rows", fail)
            answer = await client.get(PATH)
            assert answer.status_code == 500
    finally:
        logging.getLogger().handlers[:] = before
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    access = [line for line in lines if line["logger"] == "access"]
    others = [line for line in lines if line["logger"] != "access"]

    assert {name for line in lines for name in line} == set(documented())
    everywhere = {name for name, where in documented().items() if where == "all"}
    assert everywhere == set.intersection(*(set(line) for line in lines))
    in_access = {name for name, where in documented().items() if where.startswith("access", 1)}
    assert in_access == {name for line in access for name in line} - everywhere
    assert {name for line in others for name in line} - everywhere == {
        "message",
        "exception",
        "request_id",
    }
    # An error is found by the id that its response had.
    found = [line for line in lines if line.get("request_id") == answer.headers["X-Request-ID"]]
    assert {line["logger"] for line in found} == {"access", "serving.web.gate"}
    assert [line["problem"] for line in found if "problem" in line] == ["internal"]
