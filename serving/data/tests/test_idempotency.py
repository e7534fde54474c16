"""One creation for each key: repeated, reused, raced for, and forgotten."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from serving.data import idempotency
from serving.data.database import Database
from serving.data.idempotency import KeyedRequest, KeyInUse, KeyReused
from serving.data.problems import PROBLEMS
from serving.tests.sample.tables import KEYS
from serving.tests.service import settings_for

REQUEST = KeyedRequest(principal="web", key="k", fingerprint="f")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(settings_for(database_url), name="test")
    yield database
    await database.close()


async def remember(database: Database, request: KeyedRequest, response: str) -> str | None:
    async with database.write() as connection:
        first = await KEYS.remember(connection, request, response)
    return None if first is None else str(first.response)


async def test_a_repetition_finds_what_the_first_request_left(database: Database) -> None:
    assert await remember(database, REQUEST, "one") is None
    assert await remember(database, REQUEST, "two") == "one"


async def test_a_key_with_another_body_is_refused(database: Database) -> None:
    await remember(database, REQUEST, "one")
    with pytest.raises(KeyReused):
        await remember(database, replace(REQUEST, fingerprint="g"), "two")


async def test_keys_of_two_principals_do_not_meet(database: Database) -> None:
    await remember(database, REQUEST, "one")
    assert await remember(database, replace(REQUEST, principal="app"), "two") is None


async def test_a_key_whose_request_failed_is_free_again(database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with database.write() as connection:
            await KEYS.remember(connection, REQUEST, "one")
            raise RuntimeError
    assert await remember(database, REQUEST, "two") is None


async def test_of_racing_requests_one_is_the_first(database: Database) -> None:
    found = await asyncio.gather(*(remember(database, REQUEST, str(n)) for n in range(8)))
    winner = next(str(n) for n, one in enumerate(found) if one is None)
    assert found.count(None) == 1
    assert set(found) == {None, winner}


@pytest.mark.postgresql
async def test_a_first_request_that_takes_too_long_is_not_waited_for(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "KEY_WAIT", timedelta(seconds=0.1))
    database = Database(settings_for(postgres_url), name="test")
    async with database.write() as connection:
        await KEYS.remember(connection, REQUEST, "one")
        with pytest.raises(KeyInUse):
            await remember(database, REQUEST, "two")
    await database.close()


async def test_old_keys_are_forgotten(database: Database) -> None:
    await remember(database, REQUEST, "one")
    async with database.write() as connection:
        await KEYS.forget(connection, timedelta(hours=1))
    assert await remember(database, REQUEST, "two") == "one"
    async with database.write() as connection:
        await KEYS.forget(connection, timedelta(0))
    assert await remember(database, REQUEST, "three") is None


def test_clients_are_told_to_try_again_or_to_take_another_key() -> None:
    busy, reused = PROBLEMS[KeyInUse](KeyInUse()), PROBLEMS[KeyReused](KeyReused())
    assert (busy.status_code, busy.headers) == (409, {"Retry-After": "1"})
    assert reused.status_code == 422
