"""It runs on a developer's machine by `dev`, with nothing beside it."""

from pathlib import Path

import httpx

import serving
from examples import hello
from tools.dev.tests.running import Dev, copy, edit, left


def test_it_is_served_and_started_anew_when_a_source_changes(tmp_path: Path) -> None:
    copy(serving, tmp_path / "workspace")
    copy(hello, tmp_path / "workspace")
    with Dev(tmp_path, "examples.hello", database=False) as dev:
        url = f"{dev.url()}/api/v1/greetings/Ada"
        before = httpx.get(url, trust_env=False, timeout=30).json()
        edit(tmp_path / "workspace/examples/hello/settings.py", '"Hello"', '"Good day"')
        dev.until("ready again")
        after = httpx.get(url, trust_env=False, timeout=30).json()
        family = dev.family()
        assert dev.end() == 0

    assert (before, after) == ({"greeting": "Hello, Ada"}, {"greeting": "Good day, Ada"})
    assert "migrate" not in dev.text
    assert left(family) == []
