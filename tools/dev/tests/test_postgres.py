"""The launcher makes a database once, keeps it, and says what is wrong with one."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.dev import postgres, process
from tools.dev.postgres import Postgres, PostgresError

pytestmark = pytest.mark.postgresql


@pytest.fixture(scope="module")
def root() -> Path:
    found = postgres.tree()
    if found is None:
        message = "TEST_POSTGRES is unset: it names an unpacked Debian root with postgresql-17"
        if "TEST_SRCDIR" in os.environ:
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="module")
def made(root: Path) -> Iterator[Path]:
    """The folder of a database that was initialised and never started."""
    folder = postgres.new_folder()
    Postgres(root, folder)
    yield folder
    postgres.remove(folder)


@pytest.fixture
def folder(made: Path) -> Iterator[Path]:
    copy = postgres.new_folder() / "kept"
    shutil.copytree(made, copy, symlinks=True)
    status = made.stat()
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{status.st_uid}:{status.st_gid}", copy.parent], check=True)
    yield copy
    postgres.remove(copy.parent)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_root_makes_a_database_where_a_library_gives_each_forked_child_a_thread(root: Path) -> None:
    script = (
        "import os, sys, threading, time\n"
        "from pathlib import Path\n"
        "from tools.dev.postgres import Postgres\n"
        "def busy():\n"
        "    threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
        "os.register_at_fork(after_in_child=busy)\n"
        "Postgres(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    folder = postgres.new_folder()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(root), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    postgres.remove(folder)
    assert done.returncode == 0, done.stderr


def test_who_may_be_nobody_but_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "unshare failed: No space left on device"
    refused = subprocess.CompletedProcess([], 1, stderr=f"{reason}\n")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: refused)
    monkeypatch.setattr(postgres, "_has_user", lambda *_: False)
    with pytest.raises(PostgresError, match=f"refuses to run as root.*: {reason}$"):
        postgres.ordinary_user()


@pytest.mark.parametrize(
    ("uid_map", "has"),
    [
        ("         0          0 4294967295\n", True),
        ("         0          0          1\n", False),
        ("         0          0          1\n     65534          5          1\n", True),
        ("      1000       1000      64534\n", False),
    ],
)
def test_a_namespace_has_the_users_that_are_mapped(uid_map: str, has: bool) -> None:
    assert postgres._has_user(postgres.NOBODY, uid_map) is has


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def test_it_starts_stops_and_starts_again(root: Path, folder: Path) -> None:
    server = Postgres(root, folder)
    for how in (signal.SIGINT, signal.SIGQUIT):
        server.start()
        assert (server.running, listens(server.port)) == (True, True)
        server.stop(how)
        assert (server.running, listens(server.port)) == (False, False)


def test_a_killed_server_leaves_nobody_and_starts_again(root: Path, folder: Path) -> None:
    server = Postgres(root, folder)
    server.start()
    postmaster = int((folder / "data/postmaster.pid").read_text().split()[0])
    everybody = [postmaster, *children(postmaster)]
    assert len(everybody) > 3, "it has processes for the log, checkpoints, ..."
    server.kill()
    assert [pid for pid in everybody if alive(pid)] == []
    assert (server.running, listens(server.port)) == (False, False)
    server.start()
    assert "database system was interrupted" in server.log()
    server.stop()


def test_a_database_that_is_there_is_kept(root: Path, folder: Path) -> None:
    before = (folder / "data/global/pg_control").read_bytes()
    mark = folder / "data/mark"
    mark.touch()
    Postgres(root, folder)
    assert mark.exists()
    assert (folder / "data/global/pg_control").read_bytes() == before


def test_what_a_killed_start_left_is_made_anew(root: Path, folder: Path) -> None:
    shutil.rmtree(folder / "data")
    (folder / "data.unfinished").mkdir()
    (folder / "data.unfinished/half").touch()
    Postgres(root, folder)
    assert (folder / "data/PG_VERSION").read_text() == "17\n"
    assert not (folder / "data.unfinished").exists()


def test_another_major_version_is_refused(root: Path, folder: Path) -> None:
    (folder / "data/PG_VERSION").write_text("15\n")
    with pytest.raises(PostgresError, match=r"expected .* PostgreSQL 17, got .* PostgreSQL 15"):
        Postgres(root, folder)


def test_a_folder_that_is_no_database_is_refused_and_left(root: Path, folder: Path) -> None:
    shutil.rmtree(folder / "data")
    (folder / "data").mkdir()
    (folder / "data/letter.txt").touch()
    with pytest.raises(PostgresError, match="is no database of PostgreSQL"):
        Postgres(root, folder)
    assert (folder / "data/letter.txt").exists()


def test_a_broken_database_is_an_error_with_its_log(root: Path, folder: Path) -> None:
    (folder / "data/global/pg_control").unlink()
    server = Postgres(root, folder)
    with pytest.raises(PostgresError, match=r"did not start:\n(.*\n)*.*could not (find|open)"):
        server.start()
    assert not server.running


def test_a_root_without_postgresql_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PostgresError, match=r"holds no PostgreSQL 17"):
        Postgres(tmp_path, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_guarded_server_ends_with_the_process_that_started_it(root: Path, folder: Path) -> None:
    script = (
        "import signal, sys, time; from pathlib import Path; "
        "from tools.dev.guardian import Guardian; from tools.dev.postgres import Postgres; "
        "prepare = Guardian().enlist(signal.SIGINT); "
        "server = Postgres(Path(sys.argv[1]), Path(sys.argv[2]), prepare=prepare); server.start(); "
        "print(server._process.pid, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen(
        [*process.python_command(), "-c", script, str(root), str(folder)],
        env=process.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    server = int(starter.stdout.readline())
    assert alive(server)
    starter.kill()
    starter.wait()
    starter.stdout.close()
    deadline = time.monotonic() + 10
    while alive(server) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(server)
    # It was shut down, not torn away.
    assert not (folder / "data/postmaster.pid").exists()


def test_a_kept_open_descriptor_lives_as_long_as_the_server(root: Path, folder: Path) -> None:
    reading, writing = os.pipe()
    server = Postgres(root, folder, keep_open=[writing])
    server.start()
    os.close(writing)
    os.set_blocking(reading, False)
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    server.stop()
    os.set_blocking(reading, True)
    assert os.read(reading, 1) == b""
    os.close(reading)
