"""`//:dev` as a person meets it: the real programs, a copy of the sources, Ctrl-C."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Self

import httpx
import pytest

import backend
import serving
from tools.dev import process
from tools.dev.stack import StackError, choose_port

pytestmark = pytest.mark.postgresql

SECONDS = 90

# A service that starts at once, for what has nothing to do with a real one.
TINY = """
import http.server, os, sys
if sys.argv[1:] == ["migrate"]:
    print("migrated", os.environ["DATABASE_URL"].partition(":")[0])
    sys.exit()
if os.environ.get("MOOD") == "bad":
    print("MOOD: got 'bad'; expected a good one", file=sys.stderr)
    sys.exit(78)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"first")

http.server.HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


class Dev:
    """A run of the program. Use it as a context: at its end it is killed."""

    def __init__(
        self,
        place: Path,
        module: str,
        *arguments: str,
        stdout: int | None = None,
        **variables: str,
    ) -> None:
        definition = place / f"{module}.json"
        definition.write_text(
            json.dumps(
                {
                    "service": module, "module": module, "port": 8000,
                    "ready_path": "/health/ready", "metrics_path": "/metrics",
                }
            )
        )  # fmt: skip
        self.log = place / f"log-{time.monotonic_ns()}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *process.python_command(), "-m", "tools.dev",
                    f"--service={definition}", *arguments,
                ],
                env=process.environment(
                    **{
                        "BUILD_WORKSPACE_DIRECTORY": str(place / "workspace"),
                        "XDG_CACHE_HOME": str(place / "cache"),
                        "TEST_POSTGRES": os.environ["TEST_POSTGRES"],
                        "PORT": "0",
                        **variables,
                    }
                ),
                stdin=subprocess.DEVNULL,
                stdout=stdout or log,
                stderr=subprocess.STDOUT,
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def until(self, pattern: str, times: int = 1) -> re.Match[str]:
        """Waits until it has written this so often; the last of them."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            found = list(re.finditer(pattern, self.text, re.MULTILINE))
            if len(found) >= times:
                return found[times - 1]
            if self.process.poll() is not None and times > len(found):
                break
            time.sleep(0.05)
        raise AssertionError(f"not {times} times {pattern!r}:\n{self.text}")

    def url(self) -> str:
        return self.until(r"  API +(http://127\.0\.0\.1:\d+)$")[1]

    def family(self) -> list[int]:
        """It and all that it started, and what that started."""
        parents = {}
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = entry.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.parent.name)] = int(fields[1])
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Sends a signal and waits; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def left(pids: list[int]) -> list[int]:
    """Which of them still run after a while."""
    deadline = time.monotonic() + 20
    while (running := [pid for pid in pids if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return running


def remaining(place: Path) -> list[int]:
    """Processes that have to do with a place."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(place) in words and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return left(found)


def copy(package: ModuleType, workspace: Path) -> None:
    assert package.__file__ is not None
    source = Path(package.__file__).parent
    shutil.copytree(
        source, workspace / source.name, ignore=shutil.ignore_patterns("__pycache__", "tests")
    )


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text.replace(old, new))
    beside.rename(path)


@pytest.fixture(scope="module", autouse=True)
def _postgres() -> None:
    if "TEST_POSTGRES" not in os.environ:
        message = "TEST_POSTGRES is unset: it names an unpacked Debian root with postgresql-17"
        if "TEST_SRCDIR" in os.environ:
            pytest.fail(message)
        pytest.skip(message)
    os.environ["TEST_POSTGRES"] = str(Path(os.environ["TEST_POSTGRES"]).absolute())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A workspace with a tiny service, and a cache folder."""
    (tmp_path / "workspace/tiny").mkdir(parents=True)
    (tmp_path / "workspace/tiny/__main__.py").write_text(TINY)
    return tmp_path


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the real service, whose database the tests share."""
    place = tmp_path_factory.mktemp("real")
    copy(backend, place / "workspace")
    copy(serving, place / "workspace")
    return place


@pytest.fixture(scope="module")
def dev(real: Path) -> Iterator[Dev]:
    with Dev(real, "backend") as dev:
        dev.url()
        yield dev


def test_the_service_runs_with_its_database_and_an_ai_service(dev: Dev) -> None:
    with httpx.Client(base_url=dev.url(), trust_env=False, timeout=30) as client:
        assert client.post("/api/v1/todos", json={"title": "kept"}).status_code == 201
        parsed = client.post("/api/v1/todos/parse", json={"text": "x"})
        assert client.get("/docs").status_code == 200
        assert client.get(dev.until(r"metrics +(http\S+)")[1]).status_code == 200
    assert parsed.status_code == 200, parsed.text
    assert parsed.json()["title"]
    dev.until(r"^migrate  \| schema: empty -> \d+$")
    dev.until(r"^ai       \| POST /v1/chat/completions$")
    dev.until(r"^postgres \| .*database system is ready")
    assert "\x1b" not in dev.text


def test_a_second_one_for_the_same_checkout_is_refused(dev: Dev, real: Path) -> None:
    with Dev(real, "backend") as second:
        assert second.process.wait(60) == 1
        assert f"in use by another //:dev, process {dev.process.pid}." in second.text
    assert httpx.get(f"{dev.url()}/health/ready", trust_env=False).status_code == 200


def test_a_changed_source_is_served(dev: Dev, real: Path) -> None:
    app = real / "workspace/backend/app.py"
    edit(app, "Todos with optimistic concurrency", "Todos with a new description")
    dev.until(r"changed: backend/app\.py$")
    dev.until(r"ready again after")
    document = httpx.get(f"{dev.url()}/openapi.json", trust_env=False, timeout=30).json()
    assert "Todos with a new description" in document["info"]["description"]
    listed = httpx.get(f"{dev.url()}/api/v1/todos", trust_env=False, timeout=30).json()
    assert [todo["title"] for todo in listed["items"]] == ["kept"]


def test_a_syntax_error_is_named_and_the_old_service_stays(dev: Dev, real: Path) -> None:
    app = real / "workspace/serving/web/gate.py"
    before = app.read_text()
    already = dev.text.count("ready again")
    app.write_text("a = 1\nb = (\n")
    dev.until(r"serving/web/gate\.py:2: '\(' was never closed\n.*goes on as it is")
    assert httpx.get(f"{dev.url()}/health/ready", trust_env=False).status_code == 200
    app.write_text(before)
    dev.until(r"ready again", already + 1)


def test_a_service_that_does_not_start_is_waited_for(dev: Dev, real: Path) -> None:
    settings = real / "workspace/backend/settings.py"
    before = settings.read_text()
    already = dev.text.count("ready again")
    settings.write_text("import a_module_that_nobody_has\n" + before)
    dev.until(r"^service  \| ModuleNotFoundError: .*a_module_that_nobody_has")
    dev.until(r"the service ended with exit code 1; it starts again when a source changes")
    settings.write_text(before)
    dev.until(r"ready again", already + 1)


def test_ctrl_c_ends_all_of_it_and_the_data_stays(dev: Dev, real: Path) -> None:
    family = dev.family()
    # The program, its guardian, PostgreSQL with its processes, and the service.
    assert len(family) >= 8
    assert dev.end(signal.SIGINT) == 0
    assert left(family) == []
    dev.until(r"^postgres \| .*database system is shut down")
    with Dev(real, "backend") as again:
        listed = httpx.get(f"{again.url()}/api/v1/todos", trust_env=False, timeout=30).json()
        assert again.end(signal.SIGTERM) == 0
    assert [todo["title"] for todo in listed["items"]] == ["kept"]


def test_fresh_begins_anew(real: Path) -> None:
    with Dev(real, "backend", "--fresh") as dev:
        listed = httpx.get(f"{dev.url()}/api/v1/todos", trust_env=False, timeout=30).json()
        assert dev.end() == 0
    assert listed["items"] == []
    dev.until(r"removed the database in ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_end_all_of_it_too(place: Path, number: signal.Signals) -> None:
    with Dev(place, "tiny") as dev:
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


def test_a_service_that_hangs_is_killed_with_the_rest(place: Path) -> None:
    main = place / "workspace/tiny/__main__.py"
    main.write_text("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + TINY)
    with Dev(place, "tiny") as dev:
        dev.url()
        family = dev.family()
        dev.process.send_signal(signal.SIGINT)
        dev.until("SIGINT")
        # The second time at once.
        assert dev.end(signal.SIGINT) == 0
    assert left(family) == []


def test_it_ends_when_its_database_does(place: Path) -> None:
    with Dev(place, "tiny") as dev:
        dev.url()
        family = dev.family()
        (pid_file,) = (place / "cache").glob("*/*/data/postmaster.pid")
        os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGQUIT)
        assert dev.process.wait(60) == 1
    assert "PostgreSQL ended" in dev.text
    assert "//:dev -- --fresh" in dev.text
    assert left(family) == []


def test_it_ends_when_nobody_reads_its_log(place: Path) -> None:
    with Dev(place, "tiny", stdout=subprocess.PIPE) as dev:
        assert dev.process.stdout is not None
        for line in dev.process.stdout:
            if b"Ctrl-C" in line:
                break
        family = dev.family()
        dev.process.stdout.close()
        # It says that the source changed, and finds nobody to say it to.
        (place / "workspace/tiny/more.py").touch()
        assert dev.process.wait(60) == 0
    assert left(family) == []


def test_wrong_settings_end_it(place: Path) -> None:
    with Dev(place, "tiny", MOOD="bad") as dev:
        assert dev.process.wait(60) == 1
    assert "migrate  | migrated postgresql" in dev.text
    assert "service  | MOOD: got 'bad'; expected a good one" in dev.text
    assert dev.text.splitlines()[-1].startswith("dev      | the settings are wrong")
    assert remaining(place) == []


def test_a_syntax_error_at_the_start_is_waited_for(place: Path) -> None:
    main = place / "workspace/tiny/__main__.py"
    main.write_text("def\n")
    with Dev(place, "tiny") as dev:
        dev.until(r"tiny/__main__\.py:1: invalid syntax\n.*starts when this is mended")
        main.write_text(TINY)
        assert httpx.get(dev.url(), trust_env=False).text == "first"
        assert dev.end() == 0


def made(place: Path) -> Path:
    """The folder of a database that was used before."""
    with Dev(place, "tiny") as dev:
        dev.url()
        assert dev.end() == 0
    (data,) = (place / "cache").glob("*/*/data")
    return data


def test_a_broken_database_is_an_error_until_it_is_begun_anew(place: Path) -> None:
    data = made(place)
    (data / "global/pg_control").unlink()
    with Dev(place, "tiny") as dev:
        assert dev.process.wait(60) == 1
    assert "pg_control" in dev.text
    assert f"The database in {data.parent} cannot be used" in dev.text
    assert "//:dev -- --fresh" in dev.text
    assert (data / "PG_VERSION").exists()
    assert remaining(place) == []
    with Dev(place, "tiny", "--fresh") as dev:
        dev.url()
        assert dev.end() == 0


def test_a_database_of_another_version_is_refused_and_left(place: Path) -> None:
    data = made(place)
    (data / "PG_VERSION").write_text("15\n")
    with Dev(place, "tiny") as dev:
        assert dev.process.wait(60) == 1
    assert "expected a database of PostgreSQL 17, got one of PostgreSQL 15" in dev.text
    assert "//:dev -- --fresh" in dev.text
    assert (data / "PG_VERSION").read_text() == "15\n"


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
    assert list((place / "cache").glob("*/*/data")) == []


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


def test_the_persons_ai_service_is_used_and_their_database_is_not(place: Path) -> None:
    url = "http://127.0.0.1:9/v1"
    with Dev(place, "tiny", AI_BASE_URL=url, DATABASE_URL="postgresql://prod/x") as dev:
        assert dev.until(r"AI +(\S+)$")[1] == url
        assert "127.0.0.1" in dev.until(r"database +(\S+)$")[1]
        assert dev.end() == 0
    assert "DATABASE_URL is left aside" in dev.text
    assert "prod" not in dev.text
