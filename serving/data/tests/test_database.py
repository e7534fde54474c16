"""What a database does to a service in production, done to it on purpose."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest
from sqlalchemy import Integer, bindparam, insert, literal_column, select

from serving.data import database, overflow
from serving.data.database import Command, Database, Query
from serving.data.migrate import Migrations
from serving.settings import rotation
from serving.tests.sample.app import SampleApplication
from serving.tests.sample.tables import notes
from serving.tests.service import PATH, open_app, settings_for
from tools.dev import postgres

pytestmark = pytest.mark.postgresql


@pytest.fixture
async def admin(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


SESSIONS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name = 'sample'"
)
WAITING = f"{SESSIONS} AND wait_event_type = 'Lock'"
KILL = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'sample'"
)


async def test_connections_that_the_server_broke_are_replaced_unnoticed(
    postgres_url: str, admin: asyncpg.Connection
) -> None:
    async with open_app(postgres_url, database_pool_size=4) as (_, client):
        await asyncio.gather(*(client.get(PATH) for _ in range(8)))
        assert await admin.fetchval(KILL) >= 4
        await asyncio.sleep(0.1)
        responses = await asyncio.gather(
            *(client.get(PATH) for _ in range(8)),
            *(client.post(PATH, json={"text": "x"}) for _ in range(8)),
        )
    assert {response.status_code for response in responses} == {200, 201}


async def test_a_read_whose_connection_breaks_meanwhile_is_asked_again(
    postgres_url: str, admin: asyncpg.Connection
) -> None:
    async with open_app(postgres_url) as (app, _):
        query = asyncio.create_task(
            app.database.rows(Query(select(literal_column("pg_sleep(1)"))), {})
        )
        async with asyncio.timeout(10):
            while not await admin.fetchval(KILL + " AND query LIKE 'SELECT pg_sleep%'"):
                await asyncio.sleep(0.02)
        assert len(await query) == 1


async def test_a_connection_that_fell_silent_is_noticed_before_a_request_gets_it(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.data.database.PING_SECONDS", 0.2)
    async with open_app(postgres_url, database_pre_ping_idle=0.0) as (app, client):
        await client.get(PATH)
        async with app.database.read() as connection:
            raw = await connection.get_raw_connection()
            first = raw.driver_connection
        execute = asyncpg.Connection.execute

        async def silent(self: asyncpg.Connection, *arguments: str, **options: float) -> str:
            if self is first:
                raise TimeoutError
            status: str = await execute(self, *arguments, **options)
            return status

        monkeypatch.setattr(asyncpg.Connection, "execute", silent)
        assert (await client.get(PATH)).status_code == 200
        async with app.database.read() as connection:
            raw = await connection.get_raw_connection()
            assert raw.driver_connection is not first


async def test_a_statement_that_takes_too_long_is_a_503(
    postgres_url: str, admin: asyncpg.Connection
) -> None:
    async with open_app(postgres_url, database_statement_timeout=0.3) as (_, client):
        async with admin.transaction():
            await admin.execute("LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")
            began = time.monotonic()
            read = await client.get(PATH)
            write = await client.post(PATH, json={"text": "x"})
            assert time.monotonic() - began < 2
        assert (read.status_code, write.status_code) == (503, 503)
        assert read.json()["type"].split("/")[-1] == "database-slow"
        assert (await client.get(PATH)).status_code == 200


async def test_more_requests_than_connections_wait_and_then_get_503(
    postgres_url: str, admin: asyncpg.Connection
) -> None:
    options = {
        "database_pool_size": 2, "database_max_overflow": 1, "database_pool_timeout": 0.3,
    }  # fmt: skip
    async with open_app(postgres_url, **options) as (app, client):
        async with admin.transaction():
            await admin.execute("LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")
            waiting = [asyncio.create_task(client.get(PATH)) for _ in range(3)]
            async with asyncio.timeout(5):
                while app.database.pool.checkedout() < 3:
                    await asyncio.sleep(0.01)
            began = time.monotonic()
            refused = await asyncio.gather(*(client.get(PATH) for _ in range(20)))
            assert time.monotonic() - began < 2
            assert (await client.get("/health/ready")).status_code == 200
        assert {one.status_code for one in refused} == {503}
        assert {one.json()["type"].split("/")[-1] for one in refused} == {"database-busy"}
        assert {one.status_code for one in await asyncio.gather(*waiting)} == {200}
        assert app.database.pool.checkedout() == 0


@pytest.mark.parametrize("way", ["rows", "read"])
async def test_who_waits_for_a_connection_gets_it_before_who_asks_later(
    postgres_url: str, way: str
) -> None:
    """However soon the one who has just given it back asks again."""
    waiting = Database(settings_for(postgres_url), name="test", pool_size=1)
    query = Query(select(literal_column("1")))
    answers = 0

    async def ask() -> None:
        if way == "rows":
            await waiting.rows(query, {})
            return
        async with waiting.read() as connection:
            await connection.execute(query.select)

    async def ask_again_and_again() -> None:
        nonlocal answers
        for _ in range(100):
            await ask()
            answers += 1

    other = asyncio.create_task(ask_again_and_again())
    while not answers:
        await asyncio.sleep(0)
    before = answers
    await ask()
    # It was being answered, and may have been told before this one was.
    assert answers - before <= 2
    await other
    await waiting.close()


async def burst(
    app: SampleApplication, client: httpx.AsyncClient, admin: asyncpg.Connection
) -> set[int]:
    """The sessions that serve six requests at once."""
    async with admin.transaction():
        await admin.execute("LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")
        requests = [asyncio.create_task(client.get(PATH)) for _ in range(6)]
        found: set[int] = set()
        async with asyncio.timeout(10):
            while len(found) < 6:
                # What a transaction has seen of other sessions stays as it was.
                await admin.execute("SELECT pg_stat_clear_snapshot()")
                found = {one["pid"] for one in await admin.fetch(WAITING)}
    assert {one.status_code for one in await asyncio.gather(*requests)} == {200}
    return found


BURST: dict[str, int] = {"database_pool_size": 2, "database_max_overflow": 4}


async def test_a_burst_keeps_its_connections_until_nobody_needs_them(
    postgres_url: str, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else steady load above the pool's size would log in anew for every few requests."""
    monkeypatch.setattr(overflow, "UNUSED_SECONDS", 1.5)
    async with open_app(postgres_url, **BURST) as (app, client):
        first = await burst(app, client, admin)
        assert app.database.connections == (0, 6, 4)
        assert await burst(app, client, admin) == first
        async with asyncio.timeout(10):
            while app.database.connections != (0, 2, 0):
                assert (await client.get(PATH)).status_code == 200
                await asyncio.sleep(0.05)
            while len(left := {one["pid"] for one in await admin.fetch(SESSIONS)} & first) > 2:
                await asyncio.sleep(0.05)
        assert len(left) == 2
        # Closed ones are made anew where they are needed again.
        assert left < await burst(app, client, admin)


async def test_no_request_gets_a_connection_that_is_about_to_be_closed(
    postgres_url: str, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: object) -> None:
        pass

    monkeypatch.setattr(overflow, "UNUSED_SECONDS", 0.3)
    monkeypatch.setattr(database, "_close_in_order", never)
    async with open_app(postgres_url, **BURST) as (app, client):
        first = await burst(app, client, admin)
        async with asyncio.timeout(10):
            while app.database.connections != (0, 2, 0):
                await asyncio.sleep(0.05)
        assert len(first & await burst(app, client, admin)) == 2


async def test_a_client_that_goes_away_gives_its_connection_back(
    postgres_url: str, admin: asyncpg.Connection
) -> None:
    async with open_app(postgres_url, database_pool_size=1, database_max_overflow=0) as (
        app,
        client,
    ):
        async with admin.transaction():
            await admin.execute("LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")
            request = asyncio.create_task(client.get(PATH))
            await asyncio.sleep(0.2)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
        assert (await client.get(PATH)).status_code == 200
        assert app.database.pool.checkedout() == 0


async def test_a_connection_that_breaks_while_it_is_made_is_a_503(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def closed(*_: object, **__: object) -> None:
        raise asyncpg.InterfaceError("connection is closed")

    async with open_app(postgres_url, auto_migrate=False) as (_, client):
        with monkeypatch.context() as patch:
            patch.setattr(asyncpg.Connection, "set_type_codec", closed)
            refused = [await client.get(PATH), await client.post(PATH, json={"text": "x"})]
        assert (await client.get(PATH)).status_code == 200
    assert [one.status_code for one in refused] == [503, 503]
    assert refused[0].json()["type"].split("/")[-1] == "database-unavailable"


# asyncpg leaves the socket of a refused connection attempt to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "crash"])
async def test_a_restart_under_load_costs_503s_and_nothing_else(
    own_server: postgres.Postgres, how: signal.Signals
) -> None:
    statuses: list[int] = []
    created: set[str] = set()
    async with open_app(own_server.url, database_connect_timeout=1.0) as (_, client):
        running = True

        async def load(number: int) -> None:
            while running:
                if number % 2:
                    response = await client.get(PATH)
                else:
                    response = await client.post(PATH, json={"text": "x"})
                    if response.status_code == 201:
                        created.add(response.json()["id"])
                statuses.append(response.status_code)
                await asyncio.sleep(0.005)

        async def seen_from_now_on() -> set[int]:
            """Statuses of requests begun after the call: those under way are one a client."""
            begun = len(statuses) + 6
            async with asyncio.timeout(30):
                while len(statuses) < begun + 20:
                    await asyncio.sleep(0.01)
            return set(statuses[begun:])

        work = [asyncio.create_task(load(number)) for number in range(6)]
        await asyncio.sleep(0.5)
        await asyncio.to_thread(own_server.stop, how)
        statuses_while_down = await seen_from_now_on()
        down = await client.get("/health/live")
        await asyncio.to_thread(own_server.start)
        back = time.monotonic()
        async with asyncio.timeout(10):
            while (await client.get(PATH)).status_code != 200:
                await asyncio.sleep(0.02)
        recovered = time.monotonic() - back
        await asyncio.sleep(0.3)
        after = await seen_from_now_on()
        running = False
        await asyncio.gather(*work)
        stored = {note["id"] for note in (await client.get(f"{PATH}?limit=100000")).json()}
    assert down.status_code == 200
    assert statuses_while_down == {503}
    assert after == {200, 201}
    assert set(statuses) <= {200, 201, 503}
    assert recovered < 3
    if how is signal.SIGINT:
        assert created <= stored


async def test_a_service_that_starts_before_its_database_comes_up_with_it(
    own_server: postgres.Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.data.migrate.RETRY_SECONDS", 0.2)
    own_server.stop()
    async with open_app(own_server.url) as (_, client):
        assert (await client.get("/health/startup")).status_code == 503
        await asyncio.to_thread(own_server.start)
        async with asyncio.timeout(10):
            while (await client.get("/health/startup")).status_code != 200:
                await asyncio.sleep(0.1)
        assert (await client.post(PATH, json={"text": "x"})).status_code == 201


async def test_a_prepared_query_is_one_statement(postgres_url: str) -> None:
    async with open_app(postgres_url) as (app, client):
        await client.post(PATH, json={"text": "x"})
        statements: list[str] = []
        async with app.database.read() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            driver.add_query_logger(lambda record: statements.append(record.query))
        assert len((await client.get(PATH)).json()) == 1
    assert len(statements) == 1


BACKENDS = "SELECT pid FROM pg_stat_activity WHERE usename = 'rotated'"


async def test_a_changed_password_costs_no_request_and_no_session_of_the_old_one_stays(
    own_server: postgres.Postgres,
    migrations: Migrations,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """First the file, then the server: docs/operate.md."""
    monkeypatch.setattr(rotation, "CHECK_SECONDS", 0.05)
    admin = await asyncpg.connect(own_server.url)
    await admin.execute("CREATE ROLE rotated LOGIN SUPERUSER PASSWORD 'old'")
    # Only this role is asked for its password.
    access = own_server.data / "pg_hba.conf"
    access.write_text(
        "host all rotated 127.0.0.1/32 scram-sha-256\n" + access.read_text(), encoding="utf-8"
    )
    await admin.execute("SELECT pg_reload_conf()")
    file = tmp_path / "password"
    file.write_text("old")
    monkeypatch.setenv("DATABASE_PASSWORD_FILE", str(file))
    url = own_server.url.replace("service@", "rotated@")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url, password="wrong")

    async def change_the_server() -> None:
        await admin.execute("ALTER ROLE rotated PASSWORD 'new'")

    async def change_the_file() -> None:
        file.write_text("new\n")
        await asyncio.sleep(0.1)

    async with open_app(url, database_pool_size=4, auto_migrate=True) as (_, client):
        while (await client.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0.05)
        await asyncio.gather(*(client.get(PATH) for _ in range(8)))
        before = {one["pid"] for one in await admin.fetch(BACKENDS)}
        statuses = set()
        for step in (change_the_file, change_the_server):
            await step()
            answers = await asyncio.gather(
                *(client.get(PATH) for _ in range(8)),
                *(client.post(PATH, json={"text": "x"}) for _ in range(8)),
                client.get("/health/ready"),
            )
            statuses |= {one.status_code for one in answers}
        assert statuses == {200, 201}
        # A session of the old password ends as soon as a request would have got it.
        async with asyncio.timeout(30):
            while before & {one["pid"] for one in await admin.fetch(BACKENDS)}:
                answers = await asyncio.gather(
                    *(client.get(PATH) for _ in range(8)), client.get("/health/ready")
                )
                assert {one.status_code for one in answers} == {200}
                await asyncio.sleep(0.1)
    await admin.close()


def test_a_prepared_statement_with_a_value_in_it_is_refused() -> None:
    # On SQLite such a value would be used, and on PostgreSQL missed.
    parameter = bindparam("limit", type_=Integer)
    Query(select(notes.c.id).limit(parameter))
    for prepared in (
        lambda: Query(select(notes.c.id).limit(1000)),
        lambda: Query(select(notes.c.id).where(notes.c.text == "x").limit(parameter)),
        lambda: Command(insert(notes).values(text="x")),
    ):
        with pytest.raises(ValueError, match=r"the value (1000|'x') in it; expected a parameter"):
            prepared()
