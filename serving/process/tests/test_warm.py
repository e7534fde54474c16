"""A warm start is like a cold one, but for the wheels that have been imported by then."""

import json
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving.tests import warm
from tools.dev import process

TOLD = """
import gc, json, os, resource, signal, sys

def opened():
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
        # The standard library: some wheels look into it.
        if not target.endswith(".zip"):
            yield name

if sys.argv[1:] == ["wait"]:
    print("waiting", flush=True)
    signal.pause()
if sys.argv[1:] == ["raise"]:
    raise RuntimeError("expected")
print(json.dumps({
    "arguments": sys.argv,
    "descriptors": sorted(opened()),
    "environment": dict(os.environ),
    "folder": os.getcwd(),
    "limit": resource.getrlimit(resource.RLIMIT_NOFILE),
    "name": __name__,
    "package": __package__,
    "path": sys.path,
    "collects": gc.isenabled(),
    "threads": len(os.listdir("/proc/self/task")),
    "handlers": [str(signal.getsignal(one)) for one in (signal.SIGINT, signal.SIGTERM)],
}))
print(*sorted(sys.modules), file=sys.stderr)
sys.exit(3)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One that says what it is given; found because it is where the process starts."""
    (tmp_path / "teller.py").write_text(TOLD)
    monkeypatch.chdir(tmp_path)
    return "teller"


def told(by: Callable[..., subprocess.CompletedProcess[str]], module: str) -> dict[str, Any]:
    done = by(module, "a", "b c", TZ="UTC", PORT="0")
    assert done.returncode == 3, done
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_a_warm_start_is_given_what_a_cold_one_is(module: str) -> None:
    assert told(warm.run, module) == told(process.run, module)


def test_nothing_of_a_service_and_no_metrics_are_loaded_before_it_starts(module: str) -> None:
    done = warm.run(module)
    loaded = set(done.stderr.split())
    assert {"fastapi", "sqlalchemy", "uvicorn"} <= loaded
    assert {name for name in loaded if name.partition(".")[0] in {"serving", "tools"}} == {
        "serving",
        "serving.tests",
        "tools",
        "tools.dev",
        "tools.dev.interpreter",
        "tools.dev.process",
    }
    assert "prometheus_client" not in loaded


def waiting(module: str, log: Path) -> warm.Forked:
    with log.open("wb") as file:
        started = warm.start(
            module, "wait", environment=process.environment(), stdout=file, stderr=file
        )
    while not log.read_text():
        time.sleep(0.01)
    return started


def test_a_process_ends_by_the_signal_that_it_is_sent(module: str, tmp_path: Path) -> None:
    one, other = waiting(module, tmp_path / "one"), waiting(module, tmp_path / "other")
    assert (one.poll(), other.poll()) == (None, None)
    with pytest.raises(subprocess.TimeoutExpired):
        one.wait(0.1)
    one.send_signal(signal.SIGTERM)
    assert one.wait(10) == -signal.SIGTERM
    assert other.poll() is None
    other.kill()
    assert other.wait(10) == -signal.SIGKILL
    one.kill()
    assert one.returncode == -signal.SIGTERM


def test_an_error_is_told_as_a_cold_start_tells_it(module: str) -> None:
    warm_one, cold_one = warm.run(module, "raise"), process.run(module, "raise")
    assert (warm_one.returncode, cold_one.returncode) == (1, 1)
    assert warm_one.stderr.endswith(cold_one.stderr.partition('teller.py"')[2])


def test_a_limit_of_files_is_passed_on(module: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        assert told(warm.run, module)["limit"] == [200, hard]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
