"""The gate before an application: what it lets through, and what it marks, counts and logs."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from serving.tests.exposition import samples
from serving.watch.lifecycle import Lifecycle
from serving.watch.logs import REQUEST_ID, AccessLog
from serving.watch.metrics import RequestMetrics
from serving.watch.registry import Registry
from serving.watch.settings import WatchSettings
from serving.watch.spans import UNTRACED
from serving.web.gate import SECURITY_HEADERS, Gate, Message, Receive, Send
from serving.web.problems import Problem, Problems
from serving.web.settings import WebSettings

LIMIT = 1024
CHUNKED = (b"transfer-encoding", b"chunked")
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01".encode()

type App = Callable[[Message, Receive, Send], Awaitable[None]]


class Answer(NamedTuple):
    """What came out of the gate."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def all(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key == name]


class Traced:
    """A request that is being traced, and how it ended."""

    trace_id = "f" * 32

    def __init__(self) -> None:
        self.ended: list[tuple[str, str, int]] = []

    def end(self, method: str, route: str, status: int) -> None:
        self.ended.append((method, route, status))


class Tracer:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.begun: list[tuple[dict[str, str], str]] = []
        self.request = Traced()

    def begin(self, scope: Mapping[str, str], path: str) -> Traced:
        self.begun.append((dict(scope), path))
        return self.request

    def inside(self, _: str, __: Mapping[str, str]) -> AbstractContextManager[object]:
        return UNTRACED

    def headers(self) -> Mapping[str, str]:
        return {}

    async def stop(self) -> None:
        """Nothing is left."""


class Gated:
    """A gate before an application, and what it told the metrics."""

    def __init__(
        self, app: App, *, log_level: str = "error", tracer: Tracer | None = None, **options: Any
    ) -> None:
        self.lifecycle = Lifecycle()
        self.registry = Registry()
        watch = WatchSettings.model_validate({"log_level": log_level, "log_format": "json"})
        self.gate = Gate(
            app,
            settings=WebSettings(**options),
            lifecycle=self.lifecycle,
            metrics=RequestMetrics(self.registry),
            log=AccessLog(watch),
            problems=Problems(),
            tracer=tracer,
        )

    async def call(
        self,
        *headers: tuple[bytes, bytes],
        method: str = "GET",
        path: str = "/rooms/7",
        query: bytes = b"",
        receive: Receive | None = None,
    ) -> Answer:
        """Send a request through; its body, if there is one, comes from `receive`."""
        said: list[Message] = []

        async def gone() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            said.append(message)

        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(),
            "query_string": query, "headers": list(headers),
        }  # fmt: skip
        await self.gate(scope, receive or gone, send)
        body = b"".join(one.get("body", b"") for one in said)
        if not said:
            return Answer(0, [], b"")
        return Answer(said[0]["status"], said[0]["headers"], body)

    @property
    def figures(self) -> dict[str, float]:
        return samples(self.registry.expose().decode())


def answering(
    status: int = 200,
    *,
    headers: Sequence[tuple[bytes, bytes]] = (),
    route: str = "/rooms/{number}",
    methods: frozenset[str] | None = None,
) -> App:
    """An application that answers at once, on a route."""

    async def app(scope: Message, _: Receive, send: Send) -> None:
        scope["route"] = SimpleNamespace(path=route, methods=methods)
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b"7"})

    return app


async def silent(_: Message, __: Receive, ___: Send) -> None:
    """An application whose client went away: no answer, and no route."""


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


# --- bodies


class Taken:
    """An application that reads its request to the end."""

    def __init__(self) -> None:
        self.body = b""

    async def __call__(self, _: Message, receive: Receive, __: Send) -> None:
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

    async def receive() -> Message:
        return waiting.pop(0)

    app = Taken()
    await Gated(app, request_max_bytes=LIMIT).call(CHUNKED, method="POST", receive=receive)
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
    assert caught.value.headers == {"Connection": "close"}


async def test_a_body_that_is_announced_too_large_is_refused_unread() -> None:
    async def receive() -> Message:
        raise AssertionError("nothing of it is to be read")

    app = Taken()
    gated = Gated(app, request_max_bytes=LIMIT)
    answer = await gated.call((b"content-length", b"1025"), method="POST", receive=receive)
    assert answer.status == 413
    assert answer.all(b"connection") == [b"close"]
    assert json.loads(answer.body)["type"] == "/problems/body-too-large"


@pytest.mark.parametrize("length", [b"0", b"1024"])
async def test_a_length_up_to_the_limit_is_let_through(length: bytes) -> None:
    gated = Gated(answering(), request_max_bytes=LIMIT)
    assert (await gated.call((b"content-length", length), method="POST")).status == 200


@pytest.mark.parametrize("field", [(b"content-length", b"9"), CHUNKED])
async def test_a_body_that_does_not_come_in_its_time_is_a_408(field: tuple[bytes, bytes]) -> None:
    pieces = [{"type": "http.request", "body": b"x", "more_body": True}]

    async def receive() -> Message:
        if not pieces:
            await asyncio.Event().wait()
        return pieces.pop()

    with pytest.raises(Problem) as caught:
        async with asyncio.timeout(30):
            await Gated(Taken(), body_timeout=0.1).call(field, method="POST", receive=receive)
    assert (caught.value.status_code, caught.value.slug) == (408, "body-too-slow")
    assert caught.value.headers == {"Connection": "close"}


async def test_a_body_that_takes_a_moment_comes_through() -> None:
    pieces: list[Message] = [
        {"type": "http.request", "body": b"x", "more_body": n > 0} for n in range(3)
    ]

    async def receive() -> Message:
        await asyncio.sleep(0.01)
        return pieces.pop()

    app = Taken()
    await Gated(app, body_timeout=30.0).call(CHUNKED, method="POST", receive=receive)
    assert app.body == b"xxx"


async def test_what_comes_after_a_body_has_no_time_limit() -> None:
    """An application that streams its answer waits for the client to go, however long."""
    waited = asyncio.Event()
    pieces: list[Message] = [{"type": "http.request", "body": b"x"}, {"type": "http.disconnect"}]

    async def receive() -> Message:
        if len(pieces) == 1:
            await waited.wait()
        return pieces.pop(0)

    async def app(_: Message, receive: Receive, __: Send) -> None:
        await receive()
        # Longer than the body's time.
        asyncio.get_running_loop().call_later(0.2, waited.set)
        assert (await receive())["type"] == "http.disconnect"

    gated = Gated(app, body_timeout=0.1)
    await gated.call((b"content-length", b"1"), method="POST", receive=receive)
    assert waited.is_set()


async def test_a_request_without_a_body_has_no_time_for_one() -> None:
    async def receive() -> Message:
        await asyncio.sleep(0.2)
        return {"type": "http.disconnect"}

    app = Taken()
    await Gated(app, body_timeout=0.1).call((b"accept", b"*/*"), receive=receive)


# --- targets


@pytest.mark.parametrize(("path", "query"), [(256, 0), (200, 56)])
async def test_a_target_of_the_length_that_is_allowed_comes_through(path: int, query: int) -> None:
    gated = Gated(answering(), url_max_bytes=256)
    answer = await gated.call(path="/" + "x" * (path - 1), query=b"q" * query)
    assert answer.status == 200


@pytest.mark.parametrize(("path", "query"), [(257, 0), (200, 57)])
async def test_a_longer_target_is_refused_and_its_connection_closed(path: int, query: int) -> None:
    gated = Gated(answering(), url_max_bytes=256)
    answer = await gated.call(path="/" + "x" * (path - 1), query=b"q" * query)
    assert answer.status == 414
    assert answer.all(b"connection") == [b"close"]
    problem = json.loads(answer.body)
    assert problem["type"] == "/problems/url-too-long"
    assert "257 bytes; at most 256" in problem["detail"]


# --- what is marked


async def test_every_answer_is_marked_unless_the_route_did() -> None:
    own = (b"cache-control", b"public")
    answer = await Gated(answering(headers=[own])).call()
    assert answer.all(b"cache-control") == [b"public"]
    for name, value in SECURITY_HEADERS:
        if name != b"cache-control":
            assert answer.all(name) == [value]
    assert answer.all(b"connection") == []
    assert answer.body == b"7"


async def test_the_last_answers_of_a_process_close_their_connections() -> None:
    gated = Gated(answering())
    gated.lifecycle.draining = True
    assert (await gated.call()).all(b"connection") == [b"close"]


@pytest.mark.parametrize("own", [b"abc-1.2_3", b"x" * 64])
async def test_a_request_keeps_the_name_that_its_sender_gave_it(own: bytes) -> None:
    answer = await Gated(answering()).call((b"accept", b"a"), (b"x-request-id", own))
    assert answer.all(b"x-request-id") == [own]


@pytest.mark.parametrize("other", [b"", b"x" * 65, b"a b", b"a\nb", b"\xfc"])
async def test_another_name_is_replaced_by_a_random_one(other: bytes) -> None:
    gated = Gated(answering())
    names = [
        (await gated.call((b"x-request-id", other), (b"accept", b"a"))).all(b"x-request-id")[0]
        for _ in range(2)
    ]
    assert all(re.fullmatch(rb"[0-9a-f]{16}", name) for name in names)
    assert names[0] != names[1]


async def test_what_is_logged_for_a_request_has_its_name_and_what_follows_has_not() -> None:
    seen: list[str | None] = []

    async def app(_: Message, __: Receive, ___: Send) -> None:
        seen.append(REQUEST_ID.get())

    await Gated(app).call((b"x-request-id", b"abc"))
    assert [*seen, REQUEST_ID.get()] == ["abc", None]


async def test_what_is_no_request_is_handed_on_as_it_is() -> None:
    handed: list[Message] = []

    async def app(scope: Message, _: Receive, __: Send) -> None:
        handed.append(scope)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(_: Message) -> None:
        """Nobody listens."""

    gated = Gated(app)
    scope = {"type": "websocket", "path": "/ws"}
    await gated.gate(scope, receive, send)
    assert handed == [{"type": "websocket", "path": "/ws"}]
    assert "http_requests_total" not in str(gated.figures)


# --- what is counted


async def test_a_request_is_counted_by_its_route_and_never_by_its_path() -> None:
    gated = Gated(answering(201))
    for number in range(3):
        await gated.call(path=f"/rooms/{number}", method="PUT")
    labels = 'method="PUT",route="/rooms/{number}"'
    figures = gated.figures
    assert figures[f'http_requests_total{{{labels},status="201"}}'] == 3
    assert figures[f"http_request_duration_seconds_count{{{labels}}}"] == 3
    assert 0 < figures[f"http_request_duration_seconds_sum{{{labels}}}"] < 30


async def test_what_fits_no_route_is_one_time_series_whatever_its_method() -> None:
    gated = Gated(silent)
    for method in ("GET", "BREW", "WHEN"):
        await gated.call(method=method, path=f"/{method}")
    counted = {name: value for name, value in gated.figures.items() if "requests_total" in name}
    assert counted == {'http_requests_total{method="any",route="unmatched",status="499"}': 3}, (
        "a client that got no answer is counted as one that went away"
    )


async def test_methods_that_a_route_does_not_have_are_one_time_series() -> None:
    gated = Gated(answering(405, methods=frozenset({"GET"})))
    for method in ("GET", "PROPFIND", "UNLOCK"):
        await gated.call(method=method)
    counted = {name: value for name, value in gated.figures.items() if "requests_total" in name}
    labels = 'route="/rooms/{number}",status="405"'
    assert counted == {
        f'http_requests_total{{method="GET",{labels}}}': 1,
        f'http_requests_total{{method="any",{labels}}}': 2,
    }


async def test_a_request_is_in_flight_until_it_is_answered() -> None:
    figures = []

    async def app(_: Message, __: Receive, ___: Send) -> None:
        figures.append(gated.figures["http_requests_in_flight"])

    gated = Gated(app)
    await gated.call()
    assert [*figures, gated.figures["http_requests_in_flight"]] == [1, 0]


@pytest.mark.parametrize("is_answered", [True, False])
async def test_a_defect_is_logged_and_raised_unless_it_was_answered(
    is_answered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if is_answered:
            await answering(500)(scope, receive, send)
        raise RuntimeError("broken")

    gated = Gated(app)
    if is_answered:
        assert (await gated.call()).status == HTTPStatus.INTERNAL_SERVER_ERROR
    else:
        with pytest.raises(RuntimeError, match="broken"):
            await gated.call()
    assert caplog.messages == ["unhandled error"]
    assert gated.figures["http_requests_in_flight"] == 0


# --- what is logged


async def test_a_line_says_what_was_asked_and_answered(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([5.0, 5.0123456])

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        scope["principal"] = "web"
        await answering(404)(scope, receive, send)

    with monkeypatch.context() as patch:
        patch.setattr(time, "perf_counter", lambda: next(times))
        await Gated(app, log_level="info").call((b"x-request-id", b"abc"), method="BREW")
    [line] = lines(capsys)
    assert {name: line[name] for name in line if name not in {"time", "level", "logger"}} == {
        "method": "BREW",
        "route": "/rooms/{number}",
        "status": 404,
        "duration_ms": 12.346,
        "request_id": "abc",
        "principal": "web",
    }


async def test_a_line_names_the_problem_and_the_trace(capsys: pytest.CaptureFixture[str]) -> None:
    gated = Gated(answering(), log_level="info", url_max_bytes=256)
    await gated.call((b"traceparent", PARENT), path="/" + "x" * 300)
    [line] = lines(capsys)
    assert (line["problem"], line["trace_id"]) == ("url-too-long", TRACE)


@pytest.mark.parametrize(
    ("level", "path", "status", "is_logged"),
    [
        ("info", "/health/live", 200, False),
        ("info", "/health/ready", 503, True),
        ("info", "/metrics", 200, False),
        ("info", "/rooms/{number}", 200, True),
        ("debug", "/health/live", 200, True),
        ("warning", "/rooms/{number}", 200, False),
        ("error", "/health/ready", 503, False),
    ],
)
async def test_lines_of_probes_are_left_out_while_they_succeed(
    level: str, path: str, status: int, is_logged: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    await Gated(answering(status, route=path), log_level=level).call()
    assert [line["status"] for line in lines(capsys)] == [status] * is_logged


# --- what is traced


async def test_a_request_is_traced_from_what_its_sender_said_to_its_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tracer = Tracer()
    gated = Gated(answering(204), log_level="info", tracer=tracer)
    state = (b"tracestate", b"a=\xfc")
    await gated.call((b"traceparent", PARENT), state, (b"accept", b"a"), method="PUT")
    assert tracer.begun == [({"traceparent": PARENT.decode(), "tracestate": "a=ü"}, "/rooms/7")]
    assert tracer.request.ended == [("PUT", "/rooms/{number}", 204)]
    assert [line["trace_id"] for line in lines(capsys)] == [Traced.trace_id]


@pytest.mark.parametrize(
    "parent", [b"", b"00-" + b"g" * 32 + b"-b7ad6b7169203331-01", PARENT + b"-x", PARENT.upper()]
)
async def test_what_is_no_trace_is_not_continued(
    parent: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    tracer = Tracer()
    await Gated(answering(), tracer=tracer).call((b"traceparent", parent))
    assert tracer.begun == [({}, "/rooms/7")]
    await Gated(answering(), log_level="info").call((b"traceparent", parent), (b"accept", PARENT))
    assert "trace_id" not in lines(capsys)[0]


async def test_an_answer_that_nobody_takes_ends_its_span_as_one() -> None:
    tracer = Tracer()
    await Gated(silent, tracer=tracer).call()
    assert tracer.request.ended == [("any", "unmatched", 499)]


@pytest.mark.parametrize("path", ["/health/live", "/metrics"])
async def test_probes_are_not_traced(path: str) -> None:
    tracer = Tracer()
    await Gated(answering(), tracer=tracer).call(path=path)
    assert tracer.begun == []
