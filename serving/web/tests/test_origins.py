"""Pages that may call: by CORS, and over WebSockets."""

import httpx
import pytest

from serving.tests.service import PATH, open_app
from serving.web.origins import Origins
from serving.web.settings import WebSettings


async def test_cors_is_closed_by_default(plain: httpx.AsyncClient) -> None:
    response = await plain.get(PATH, headers={"Origin": "https://app.example.org"})
    assert "access-control-allow-origin" not in response.headers


async def test_cors_opens_for_the_origins_that_are_named(sqlite_url: str) -> None:
    async with open_app(sqlite_url, cors_origins=("https://app.example.org",)) as (_, client):
        preflight = await client.options(
            PATH,
            headers={
                "Origin": "https://app.example.org",
                "Access-Control-Request-Method": "PATCH",
                "Access-Control-Request-Headers": "if-match",
            },
        )
        foreign = await client.get(PATH, headers={"Origin": "https://other.example.org"})
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
    assert preflight.headers["Access-Control-Max-Age"] == "600"
    assert "access-control-allow-origin" not in foreign.headers


@pytest.mark.parametrize(
    ("origin", "is_welcome"),
    [
        ("https://app.example.org", True),
        ("http://app.example.org", False),
        ("https://app.example.org:8443", False),
        ("https://evil.example.org", False),
        ("https://api.example.org", True),
        ("http://api.example.org", True),
        ("https://api.example.org.evil.org", False),
        ("https://evil-api.example.org", False),
        ("https://evil.org/api.example.org", False),
        ("https://evil.org@api.example.org", False),
        ("null", False),
        ("", False),
    ],
)
def test_named_origins_and_the_hosts_own_are_welcome(origin: str, is_welcome: bool) -> None:
    origins = Origins(WebSettings(cors_origins=("https://app.example.org",)))
    assert origins.welcomes(origin, "api.example.org") is is_welcome
