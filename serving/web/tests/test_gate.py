"""The gate before an application: how much of a body it lets through, however it comes."""

from collections.abc import Sequence
from typing import Any

import pytest

from serving.tests.service import settings_for
from serving.watch.lifecycle import Lifecycle
from serving.watch.logs import AccessLog
from serving.watch.metrics import RequestMetrics
from serving.watch.registry import Registry
from serving.web.gate import Gate, Message
from serving.web.problems import Problem, Problems

LIMIT = 1024


class Taken:
    """An application that reads its request to the end."""

    def __init__(self) -> None:
        self.body = b""

    async def __call__(self, _: Message, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            self.body += message.get("body", b"")
            more = message.get("more_body", False)


async def pass_through(chunks: Sequence[bytes]) -> bytes:
    """What an application gets of a chunked body."""
    waiting = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, 1)
    ]
    app = Taken()
    settings = settings_for("sqlite:///nowhere.db", request_max_bytes=LIMIT)
    gate = Gate(
        app,
        settings=settings,
        lifecycle=Lifecycle(),
        metrics=RequestMetrics(Registry()),
        log=AccessLog(settings),
        problems=Problems(),
    )
    scope = {
        "type": "http", "method": "POST", "path": "/", "raw_path": b"/", "query_string": b"",
        "headers": [(b"transfer-encoding", b"chunked")],
    }  # fmt: skip

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(_: Message) -> None:
        """Nobody listens."""

    await gate(scope, receive, send)
    return app.body


async def test_a_body_of_the_size_that_is_allowed_comes_through() -> None:
    chunks = [b"x" * 100] * 10 + [b"x" * 24]
    assert await pass_through(chunks) == b"x" * LIMIT


@pytest.mark.parametrize(
    "chunks",
    [
        [b"x" * (LIMIT + 1)],
        # Neither the last nor any other is too large by itself.
        [b"x" * 100] * 10 + [b"x" * 25],
        [b"x"] * (LIMIT + 1),
        [b"x" * LIMIT, b"x", b""],
    ],
    ids=["at once", "in pieces", "byte by byte", "with an empty end"],
)
async def test_all_of_a_body_counts_and_not_its_last_piece(chunks: list[bytes]) -> None:
    with pytest.raises(Problem) as caught:
        await pass_through(chunks)
    assert caught.value.status_code == 413
