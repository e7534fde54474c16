"""API keys: who calls, and whether they may."""

import hashlib
import hmac

import pytest

from serving.tests.service import PATH, open_app
from serving.web.problems import Problem
from serving.web.security import ANONYMOUS, Keys, new_key
from serving.web.settings import WebSettings


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_production_demands_a_key_except_for_health(sqlite_url: str) -> None:
    key, entry = new_key("web")
    options = {"environment": "prod", "auto_migrate": True, "api_keys": (entry,)}
    async with open_app(sqlite_url, **options) as (_, client):
        for path in (PATH, "/metrics"):
            refused = await client.get(path)
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            assert (await client.get(path, headers=bearer("wrong"))).status_code == 401
            assert (await client.get(path, headers={"Authorization": key})).status_code == 401
            assert (await client.get(path, headers=bearer(key))).status_code == 200
        assert (await client.get("/health/ready")).status_code == 200
        for path in ("/docs", "/openapi.json"):
            assert (await client.get(path)).status_code == 404


async def test_a_key_is_checked_before_the_body(sqlite_url: str) -> None:
    options = {"auth_required": True, "api_keys": (new_key("web")[1],)}
    async with open_app(sqlite_url, **options) as (_, client):
        assert (await client.post(PATH, json={"nonsense": 1})).status_code == 401
        for content in (b"{", b"\xff", b"", b"[" * 1000):
            json = {"Content-Type": "application/json"}
            answer = await client.post(PATH, content=content, headers=json)
            assert answer.status_code == 401, content


async def test_old_and_new_key_are_both_valid_during_rotation(sqlite_url: str) -> None:
    old, new = new_key("web"), new_key("web")
    options = {"auth_required": True, "api_keys": (old[1], new[1])}
    async with open_app(sqlite_url, **options) as (_, client):
        for key, _ in (old, new):
            assert (await client.get(PATH, headers=bearer(key))).status_code == 200
    async with open_app(sqlite_url, auth_required=True, api_keys=(new[1],)) as (_, client):
        assert (await client.get(PATH, headers=bearer(old[0]))).status_code == 401
        assert (await client.get(PATH, headers=bearer(new[0]))).status_code == 200


async def test_idempotency_keys_of_two_principals_do_not_meet(sqlite_url: str) -> None:
    web, app = new_key("web"), new_key("app")
    options = {"auth_required": True, "api_keys": (web[1], app[1])}
    async with open_app(sqlite_url, **options) as (_, client):
        ids = set()
        for key, _ in (web, app):
            headers = {**bearer(key), "Idempotency-Key": "1"}
            response = await client.post(PATH, json={"text": "x"}, headers=headers)
            ids.add(response.json()["id"])
    assert len(ids) == 2


def test_a_key_is_compared_with_every_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    key, entry = new_key("first")
    others = [new_key(f"other{n}")[1] for n in range(3)]
    keys = Keys(WebSettings(api_keys=(entry, *others)))
    assert keys.principal(key.encode()) == "first"
    assert len(compared) == 4
    assert hashlib.sha256(key.encode()).digest() in compared


def keys(**options: object) -> Keys:
    return Keys(WebSettings(**options))  # type: ignore[arg-type]


def test_without_keys_everybody_is_anonymous() -> None:
    assert keys().principal(None) == ANONYMOUS
    assert keys().principal(b"whatever") == ANONYMOUS


def test_where_keys_are_optional_a_wrong_one_is_still_refused() -> None:
    key, entry = new_key("web")
    optional = keys(api_keys=(entry,))
    assert optional.principal(None) == ANONYMOUS
    assert optional.principal(key.encode()) == "web"
    with pytest.raises(Problem, match="not valid"):
        optional.principal(b"wrong")


def test_both_keys_of_a_name_belong_to_that_name() -> None:
    old, new = new_key("web"), new_key("web")
    both = keys(api_keys=(old[1], new[1]))
    assert [both.principal(key.encode()) for key, _ in (old, new)] == ["web", "web"]


@pytest.mark.parametrize("value", [b"Basic x", b"Bearer", b"Bearer ", b"x"])
def test_a_header_of_another_scheme_is_refused(value: bytes) -> None:
    with pytest.raises(Problem, match="expected Authorization: Bearer KEY"):
        keys().from_headers([(b"authorization", value)])


def test_the_scheme_may_be_written_in_any_case() -> None:
    key, entry = new_key("web")
    headers = [(b"host", b"x"), (b"authorization", b"bEARER " + key.encode())]
    assert keys(api_keys=(entry,)).from_headers(headers) == "web"
