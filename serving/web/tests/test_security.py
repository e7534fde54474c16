"""API keys: who calls, and whether they may."""

import asyncio
import hashlib
import hmac
from pathlib import Path

import pytest

from serving.settings import rotation
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


def test_a_key_has_256_random_bits() -> None:
    key, entry = new_key("web")
    # In base 64, six bits to a character.
    assert len(key) == 43
    assert entry == f"web:sha256:{hashlib.sha256(key.encode()).hexdigest()}"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of keys that is looked at all the time."""
    path = tmp_path / "api-keys"
    monkeypatch.setenv("API_KEYS_FILE", str(path))
    monkeypatch.setattr(rotation, "CHECK_SECONDS", 0.0)
    return path


def test_keys_are_those_that_the_file_holds_now(file: Path) -> None:
    (old, old_entry), (new, new_entry) = new_key("old"), new_key("new")
    file.write_text(old_entry)
    known = keys(auth_required=True)
    assert known.rotate
    assert known.principal(old.encode()) == "old"
    for content, valid, other in [(new_entry + "\n", new, old), (old_entry, old, new)]:
        file.write_text(content)
        # Asked again, the answer is the same.
        for _ in range(2):
            assert known.principal(valid.encode()) in {"old", "new"}
            with pytest.raises(Problem, match="not valid"):
                known.principal(other.encode())


def test_keys_are_read_once_and_again_when_they_have_changed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    digests = WebSettings.key_digests

    def counted(settings: WebSettings) -> dict[str, bytes]:
        reads.append(settings.api_keys)
        return digests(settings)

    monkeypatch.setattr(WebSettings, "key_digests", counted)
    entries = [new_key("a")[1], new_key("b")[1]]
    file.write_text(entries[0])
    known = keys()
    file.write_text(",".join(entries))
    for _ in range(3):
        with pytest.raises(Problem):
            known.principal(b"wrong")
    assert reads == [(entries[0],), tuple(entries)]


def test_keys_without_a_file_cannot_change() -> None:
    assert not keys(api_keys=(new_key("web")[1],)).rotate


async def test_a_key_that_is_taken_back_is_told_and_another_change_is_not(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "CHECK_SECONDS", 0.001)
    key, entry = new_key("web")
    others = [new_key("other")[1] for _ in range(2)]
    file.write_text(entry)
    known = keys(auth_required=True)
    asked = 0
    again = asyncio.Event()

    def principal() -> str:
        nonlocal asked
        asked += 1
        if asked == 2:
            again.set()
        return known.principal(key.encode())

    told = asyncio.create_task(known.revoked(principal))
    async with asyncio.timeout(30):
        await asyncio.sleep(0)
        file.write_text(f"{entry},{others[0]}")
        await again.wait()
        assert not told.done()
        file.write_text(",".join(others))
        await told
    # Not in a loop: once at first, once for each change.
    assert asked == 3
