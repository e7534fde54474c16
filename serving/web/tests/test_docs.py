"""The documentation page works without the internet and under a strict policy."""

import re

import httpx
import pytest
from fastapi import FastAPI

from serving.tests.service import client_of
from serving.web.docs import docs_routes


async def test_docs_work_without_the_internet(plain: httpx.AsyncClient) -> None:
    page = await plain.get("/docs")
    assert page.status_code == 200
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 4
    for link in links:
        asset = await plain.get(f"/{link}")
        assert asset.status_code == 200
        assert len(asset.content) > 50
    assert "<script>" not in page.text
    assert "<style" not in page.text
    assert (await plain.get("/docs/settings.py")).status_code == 404
    assert (await plain.get("/openapi.json")).json()["info"]["title"] == "Sample"


@pytest.mark.parametrize("name", ["settings.py", "..%2Fdocs.py", "__init__.py", ""])
async def test_nothing_but_the_pages_files_is_served(plain: httpx.AsyncClient, name: str) -> None:
    assert (await plain.get(f"/docs/{name}")).status_code == 404


async def test_the_title_cannot_become_markup() -> None:
    app = FastAPI(docs_url=None)
    app.include_router(docs_routes("<script>"))
    async with client_of(app) as client:
        page = (await client.get("/docs")).text
    assert "<title>&lt;script&gt; API</title>" in page
