"""A service is started as in its image, and gone after its block."""

import os
from pathlib import Path

import httpx
import pytest

from tools.dev import process

SERVICE = """
import http.server, os, sys
if sys.argv[1:] == ["migrate"]:
    print("migrated", os.environ["DATABASE_URL"])
    sys.exit(3)
if "FAIL" in os.environ:
    sys.exit("expected a mood, got FAIL")

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health/ready" else 404)
        self.end_headers()

    def log_message(self, *args):
        print('{"log": 1}', flush=True)

server = http.server.HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler)
print('{"message": "listening on http://127.0.0.1:%d"}' % server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "tiny_service.py").write_text(SERVICE)
    monkeypatch.syspath_prepend(tmp_path)
    return "tiny_service"


def test_it_serves_on_a_free_port_and_logs(module: str) -> None:
    with process.Running(module) as service:
        service.wait_ready()
        assert httpx.get(f"{service.url}/other").status_code == 404
        service.terminate()
        assert service.process.wait(10) != 0
    assert service.lines()[0] == {"message": f"listening on {service.url}"}


def test_it_is_gone_after_its_block(module: str) -> None:
    with process.Running(module) as service:
        assert service.process.poll() is None
    assert service.process.poll() is not None


def test_one_that_does_not_start_is_an_error_with_its_log(module: str) -> None:
    with pytest.raises(AssertionError, match="expected a mood, got FAIL"):
        process.Running(module, FAIL="1")


def test_a_command_runs_to_its_end(module: str) -> None:
    done = process.run(module, "migrate", DATABASE_URL="x")
    assert (done.returncode, done.stdout) == (3, "migrated x\n")


def test_a_child_is_given_nothing_of_this_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "secret")
    given = process.environment(PORT="0")
    assert "DATABASE_URL" not in given
    assert (given["PORT"], given["PATH"]) == ("0", os.environ["PATH"])
