"""What `doctor` says of a service that is called."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from serving.upstream.client import Peer
from serving.upstream.doctor import peer
from serving.watch.doctor import Finding


@pytest.fixture
def answering() -> Iterator[http.server.HTTPServer]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.headers["Authorization"] == "Bearer k" else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def found(url: str | None, key: str = "k") -> Finding:
    headers = {"Authorization": f"Bearer {key}"}
    target = Peer(name="oracle", base_url=url, headers=headers, probe_path="models")
    _, look = peer(target, "none is configured")
    (one,) = await look()
    return one


def url_of(server: http.server.HTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}/v1"


async def test_one_that_answers_is_well(answering: http.server.HTTPServer) -> None:
    one = await found(url_of(answering))
    assert (one.subject, one.verdict) == ("oracle", "ok")
    assert one.text.startswith("answers with 200 in ")


async def test_one_that_does_not_take_the_key_says_so(answering: http.server.HTTPServer) -> None:
    one = await found(url_of(answering), "hunter2")
    assert one.verdict == "warning"
    assert "does not take the key" in one.text
    assert "hunter2" not in one.text


async def test_one_that_is_away_says_where_to_look() -> None:
    one = await found("http://127.0.0.1:1")
    assert one.verdict == "warning"
    assert "look at its URL" in one.text


async def test_one_that_is_not_configured_is_no_fault() -> None:
    one = await found(None)
    assert (one.verdict, one.text) == ("ok", "none is configured")
