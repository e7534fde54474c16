"""`//:dev` as a person meets it, with a service that starts at once."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tools.dev import folder, postgres
from tools.dev.postgres import Postgres
from tools.dev.stack import StackError, choose_port
from tools.dev.tests.running import Dev, left, remaining, tree

__all__ = ["tree"]

pytestmark = pytest.mark.postgresql

TINY = """
import http.server, os, sys
if sys.argv[1:] == ["migrate"]:
    print("migrated", os.environ["DATABASE_URL"].partition(":")[0])
    sys.exit()
if os.environ.get("MOOD") == "bad":
    print("MOOD: got 'bad'; expected a good one", file=sys.stderr)
    sys.exit(78)

is_well = os.environ.get("MOOD") != "unwell"

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if is_well else 503)
        self.end_headers()
        self.wfile.write(b"first" if is_well else b"no bread")

http.server.HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A workspace with a tiny service, and a cache folder."""
    (tmp_path / "workspace/tiny").mkdir(parents=True)
    (tmp_path / "workspace/tiny/__main__.py").write_text(TINY)
    return tmp_path


@pytest.fixture(scope="module")
def initialised(tree: None) -> Iterator[Postgres]:
    """A server that is never started, whose data the others are given."""
    root = postgres.tree()
    assert root is not None
    made = postgres.new_folder()
    yield Postgres(root, made)
    postgres.remove(made)


@pytest.fixture
def used(place: Path, initialised: Postgres) -> Path:
    """The same with the database of a run before: to make one takes longer than most tests."""
    root = postgres.tree()
    assert root is not None
    cache = {"XDG_CACHE_HOME": str(place / "cache")}
    kept = folder.place(cache, (place / "workspace").resolve(), "tiny")
    kept.mkdir(parents=True, mode=0o700)
    Postgres(root, kept, like=initialised)
    return place


def data_of(place: Path) -> Path:
    """The folder of its database."""
    (data,) = (place / "cache").glob("*/*/*/data")
    return data


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_end_all_of_it_too(used: Path, number: signal.Signals) -> None:
    with Dev(used, "tiny") as dev:
        dev.url()
        family = dev.family()
        assert dev.end(number) == 0
    assert left(family) == []
    assert signal.Signals(number).name in dev.text


def test_a_killed_one_leaves_nothing_and_the_next_one_starts(place: Path) -> None:
    with Dev(place, "tiny") as dev:
        dev.url()
        family = dev.family()
        dev.process.kill()
        with Dev(place, "tiny") as again:
            again.url()
            assert again.end() == 0
    assert left(family) == []


def test_a_service_that_hangs_is_killed_with_the_rest(used: Path) -> None:
    main = used / "workspace/tiny/__main__.py"
    main.write_text("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + TINY)
    with Dev(used, "tiny") as dev:
        dev.url()
        family = dev.family()
        dev.process.send_signal(signal.SIGINT)
        dev.until("SIGINT")
        # The second time at once.
        assert dev.end(signal.SIGINT) == 0
    assert left(family) == []


def test_it_ends_when_its_database_does(used: Path) -> None:
    with Dev(used, "tiny") as dev:
        dev.url()
        family = dev.family()
        pid_file = data_of(used) / "postmaster.pid"
        os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGQUIT)
        assert dev.process.wait(60) == 1
    assert "PostgreSQL ended" in dev.text
    assert "//:dev -- --fresh" in dev.text
    assert left(family) == []


def test_it_ends_when_nobody_reads_its_log(used: Path) -> None:
    with Dev(used, "tiny", stdout=subprocess.PIPE) as dev:
        assert dev.process.stdout is not None
        for line in dev.process.stdout:
            if b"Ctrl-C" in line:
                break
        family = dev.family()
        dev.process.stdout.close()
        # It says that the source changed, and finds nobody to say it to.
        (used / "workspace/tiny/more.py").touch()
        assert dev.process.wait(60) == 0
    assert left(family) == []


def test_wrong_settings_end_it(used: Path) -> None:
    with Dev(used, "tiny", MOOD="bad") as dev:
        assert dev.process.wait(60) == 1
    assert "migrate  | migrated postgresql" in dev.text
    assert "service  | MOOD: got 'bad'; expected a good one" in dev.text
    assert dev.text.splitlines()[-1].startswith("dev      | the settings are wrong")
    assert remaining(used) == []


def test_a_syntax_error_at_the_start_is_waited_for(used: Path) -> None:
    main = used / "workspace/tiny/__main__.py"
    main.write_text("def\n")
    with Dev(used, "tiny") as dev:
        dev.until(r"tiny/__main__\.py:1: invalid syntax\n.*starts when this is mended")
        main.write_text(TINY)
        assert httpx.get(dev.url(), trust_env=False).text == "first"
        assert dev.end() == 0


def test_a_service_that_is_not_ready_says_why_and_is_not_asked_all_the_time(place: Path) -> None:
    with Dev(place, "tiny", database=False, MOOD="unwell") as dev:
        dev.until(r"not ready after \d+ s: /health/ready answers 503: no bread$")
        assert dev.text.count('"GET /health/ready') < 40
        (place / "workspace/tiny/__main__.py").write_text(TINY.replace("unwell", "-"))
        dev.url()
        assert dev.end() == 0


def test_a_service_that_is_killed_is_waited_for(place: Path) -> None:
    main = place / "workspace/tiny/__main__.py"
    main.write_text("import os; os.kill(os.getpid(), 9)\n")
    with Dev(place, "tiny", database=False) as dev:
        dev.until("the service ended by SIGKILL; it starts again when a source changes")
        main.write_text(TINY)
        dev.url()
        assert dev.end() == 0


def test_a_broken_database_is_an_error_until_it_is_begun_anew(used: Path) -> None:
    data = data_of(used)
    (data / "global/pg_control").unlink()
    with Dev(used, "tiny") as dev:
        assert dev.process.wait(60) == 1
    # Once: as it comes from the server, and not again with the error.
    assert dev.text.count("global/pg_control") == 1
    assert f"The database in {data.parent} cannot be used" in dev.text
    assert "//:dev -- --fresh" in dev.text
    assert (data / "PG_VERSION").exists()
    assert remaining(used) == []
    with Dev(used, "tiny", "--fresh") as dev:
        dev.url()
        assert dev.end() == 0


def test_a_database_of_another_version_is_refused_and_left(used: Path) -> None:
    data = data_of(used)
    (data / "PG_VERSION").write_text("15\n")
    with Dev(used, "tiny") as dev:
        assert dev.process.wait(60) == 1
    assert "expected a database of PostgreSQL 17, got one of PostgreSQL 15" in dev.text
    assert "//:dev -- --fresh" in dev.text
    assert (data / "PG_VERSION").read_text() == "15\n"


def test_a_database_that_cannot_be_made_is_not_to_be_begun_anew(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(postgres.VARIABLE, str(place))
    with Dev(place, "tiny") as dev:
        assert dev.process.wait(60) == 1
    assert "holds no PostgreSQL 17" in dev.text
    assert "--fresh" not in dev.text


def test_a_cache_folder_that_cannot_be_written_is_named(place: Path) -> None:
    (place / "cache").touch()
    with Dev(place, "tiny") as dev:
        assert dev.process.wait(60) == 1
    assert "cannot write to the cache folder: " in dev.text
    assert "XDG_CACHE_HOME" in dev.text
    assert "Traceback" not in dev.text


def test_a_port_that_is_in_use_is_named_before_anything_is_made(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with Dev(place, "tiny", PORT=str(port)) as dev:
            assert dev.process.wait(60) == 1
    assert f"PORT: got {port}: address already in use. Set PORT to another" in dev.text
    assert list((place / "cache").glob("*/*/*/data")) == []


def test_instead_of_the_default_port_a_free_one_is_taken() -> None:
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert choose_port("", port, said.append) != port
    assert f"port {port}: address already in use. Taking " in said[0]


@pytest.mark.parametrize("given", ["x", "-1", "65536", "80 80"])
def test_a_port_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(StackError, match=r"PORT: got '.*'; expected 0 to 65535"):
        choose_port(given, 8000, print)


def test_the_persons_ai_service_is_used_and_their_database_is_not(used: Path) -> None:
    url = "http://127.0.0.1:9/v1"
    with Dev(used, "tiny", AI_BASE_URL=url, DATABASE_URL="postgresql://prod/x") as dev:
        assert dev.until(r"AI +(\S+)$")[1] == url
        assert "127.0.0.1" in dev.until(r"database +(\S+)$")[1]
        assert dev.end() == 0
    assert "DATABASE_URL is left aside" in dev.text
    assert "prod" not in dev.text


def test_a_service_without_a_database_is_neither_migrated_nor_given_one(place: Path) -> None:
    with Dev(place, "tiny", database=False, DATABASE_URL="postgresql://my/own") as dev:
        assert httpx.get(dev.url(), trust_env=False).text == "first"
        family = dev.family()
        assert dev.end() == 0
    assert "migrate" not in dev.text
    assert "PostgreSQL" not in dev.text
    assert "left aside" not in dev.text
    assert "database  " not in dev.text
    assert list((place / "cache").rglob("data")) == []
    assert left(family) == []


def test_a_service_without_a_database_has_nothing_to_begin_anew(place: Path) -> None:
    with Dev(place, "tiny", "--fresh", database=False) as dev:
        assert dev.process.wait(60) == 2
    assert "--fresh: this service has no database" in dev.text
