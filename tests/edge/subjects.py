"""What is fuzzed: for each subject, cases that are nearly right, and what has to hold of any.

A check raises `AssertionError`, or whatever the code under it lets through. What it tells
`hypothesis.target` is what the search tries to make larger.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import h11
import httpx
from fastapi.exceptions import RequestValidationError
from hypothesis import currently_in_test_context, target
from hypothesis import strategies as st
from pydantic_core import to_json
from websockets.frames import Opcode

from backend.settings import Settings
from backend.suggestions import client as suggestions
from backend.suggestions.errors import AiFailure
from backend.suggestions.models import ParsedTodo, Suggestions
from backend.tests.conftest import open_app
from backend.todos.errors import BadCursor
from backend.todos.list_query import list_query
from backend.todos.pagination import Sort, decode, encode
from serving.process.tests.memory import Client, Receive, Send, Server
from serving.settings.errors import SettingsError
from serving.settings.load import load
from serving.settings.secrets import is_secret
from serving.web.etag import matches, matches_weakly
from tests.edge.server import TODOS


@dataclass(frozen=True)
class Subject:
    """Something that reads what strangers write.

    Attributes:
        cases: what they may write.
        check: raises where it is not dealt with as it should be.
        examples: as many are tried in `//...`; a second or two.
    """

    cases: st.SearchStrategy[Any]
    check: Callable[[Any], None]
    examples: int


def aim(value: float, label: str) -> None:
    """Tell the search, where there is one, what it should make larger."""
    if currently_in_test_context():
        target(value, label=label)


def edited(
    texts: st.SearchStrategy[bytes], tokens: Sequence[bytes], most: int = 4
) -> st.SearchStrategy[bytes]:
    """Texts with a few places cut out, doubled or overwritten."""
    piece = st.sampled_from(tokens) | st.binary(max_size=4)
    edit = st.tuples(st.integers(0, 1 << 16), st.integers(0, 12), piece)

    def apply(text: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
        for place, length, new in edits:
            at = place % (len(text) + 1)
            text = text[:at] + new + text[at + length :]
        return text

    return st.builds(apply, texts, st.lists(edit, max_size=most))


# --- cursors and lists, through the application


class Service:
    """The todo service in this process, on a file with three todos."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        options = {"auto_migrate": True, "log_level": "error"}
        self._context = open_app(f"sqlite:///{folder}/fuzz.db", **options)
        self._client = self._loop.run_until_complete(self._open())

    async def _open(self) -> httpx.AsyncClient:
        _, client = await self._context.__aenter__()
        async with asyncio.timeout(30):
            while (await client.get("/health/ready")).status_code != 200:
                await asyncio.sleep(0.02)
        for number in range(3):
            draft = {"title": f"todo {number}", "due": f"2030-01-0{number + 1}T00:00:00Z"}
            (await client.post(TODOS, json=draft)).raise_for_status()
        return client

    def close(self) -> None:
        """End it."""
        self._loop.run_until_complete(self._context.__aexit__(None, None, None))
        self._loop.close()

    def listed(self, query: bytes) -> httpx.Response:
        """The answer to a list with this query, as it is on the wire."""
        url = httpx.URL("http://test" + TODOS, query=query)
        return self._loop.run_until_complete(self._client.get(url))


ORDERS = ["created_at", "-created_at", "updated_at", "due", "-due", "priority", "-priority"]
_ID = "0190a5d0c8a47000a000000000000001"
_VALUES = ["2030-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00", 2, -1, None, True, 1e9]
# All that UTF-8 has. To find that out by the name of the codec takes hypothesis a second.
CHARACTERS = st.characters(exclude_categories=["Cs"])
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(CHARACTERS, max_size=8)
    | st.sampled_from(_VALUES),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(CHARACTERS, max_size=3), inner)
    ),
    max_leaves=6,
)


def _encoded(document: object) -> str:
    text = json.dumps(document, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


_CURSOR_TOKENS = [b"=", b"+", b"/", b"-", b"_", b"\xed\xb0\x80", b"W10"]
cursors = st.one_of(
    st.tuples(
        st.sampled_from(ORDERS) | json_values,
        json_values,
        st.just(_ID) | json_values,
    ).map(_encoded),
    json_values.map(_encoded),
    edited(
        st.sampled_from([_encoded([order, _VALUES[0], _ID]).encode() for order in ORDERS]),
        _CURSOR_TOKENS,
    ).map(lambda raw: raw.decode("utf-8", "surrogatepass") if _is_text(raw) else raw.hex()),
    st.text(CHARACTERS, max_size=60),
)


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def cursor_check(service: Service) -> Callable[[tuple[str, str]], None]:
    """A cursor is ours or refused, and ours says where it stands however often it is read."""

    def check(case: tuple[str, str]) -> None:
        order, cursor = case
        sort = Sort(order)
        try:
            position = decode(sort, cursor)
        except BadCursor:
            expected = 422
        else:
            assert decode(sort, encode(sort, position)) == position
            expected = 200 if len(cursor) <= 500 else 422
        aim(float(expected == 200), "taken")
        raw = quote_from_bytes(cursor.encode("utf-8", "surrogatepass"))
        answer = service.listed(f"sort={order}&cursor={raw}".encode())
        # A half character is not the same text on the wire.
        if cursor.isprintable():
            assert answer.status_code == expected, answer.text
        assert answer.status_code in {200, 422}, answer.text

    return check


_NAMES = [b"limit", b"cursor", b"sort", b"state", b"priority", b"due_from", b"due_before", b"q"]
_GIVEN = [
    *(b"0", b"1", b"100", b"101", b"1_0", b"%2B5", b"\xd9\xa1", b"-created_at", b"due", b"open"),
    *(b"done", b"high", b"2030-01-01T00:00:00Z", b"0001-01-02T00:00:00Z", b"9999-12-30", b"nan"),
    *(b"%00", b"%ed%b0%80", b"%ff", b"%25", b"_", b"%2F", b"%F0%9F%98%80", b"a" * 201, b"", b"+"),
    *(b"2030-01-01T00:00:00%2B24:00", b"1e3", b"Infinity", b"0x10", b"00000000001"),
]
queries = edited(
    st.lists(
        st.tuples(st.sampled_from(_NAMES) | st.binary(max_size=3), st.sampled_from(_GIVEN)).map(
            b"=".join
        ),
        max_size=6,
    ).map(b"&".join),
    [b"&", b"=", b";", b"%", b"%2", b"+", b"#", b"[]"],
)


def query_check(service: Service) -> Callable[[bytes], None]:
    """A query is answered with a page, or refused with 422."""

    def check(query: bytes) -> None:
        try:
            read = list_query(query)
        except RequestValidationError:
            read = None
        aim(float(read is not None), "taken")
        # On the wire a query is visible ASCII, up to a fragment.
        answer = service.listed(
            bytes(byte for byte in query if 0x20 < byte < 0x7F and byte != 0x23)
        )
        assert answer.status_code in {200, 422}, answer.text
        if answer.status_code == 200:
            assert len(answer.json()["items"]) <= 3

    return check


# --- entity tags

tags = edited(
    st.lists(
        st.sampled_from([b'"1"', b'W/"1"', b'"2"', b'""', b'"a,b"', b"*", b'"\xe9"', b"1"]),
        max_size=5,
    ).map(b", ".join),
    [b'"', b",", b" ", b"\t", b"W/", b"*", b",,", b"\x7f", b"\x80"],
).map(lambda raw: raw.decode("latin-1"))


def read_tags(header: str) -> list[str] | None:
    """The entity tags of a list, read byte by byte (RFC 9110 sections 5.6.1.2 and 8.8.3)."""
    found: list[str] = []
    at = 0
    while True:
        while at < len(header) and header[at] in " \t,":
            at += 1
        if at == len(header):
            return found
        begin = at
        at += 2 if header.startswith("W/", at) else 0
        if header[at : at + 1] != '"':
            return None
        at += 1
        while at < len(header) and (header[at] == "!" or "#" <= header[at] <= "\xff"):
            if header[at] == "\x7f":
                return None
            at += 1
        if header[at : at + 1] != '"':
            return None
        at += 1
        found.append(header[begin:at])
        while at < len(header) and header[at] in " \t":
            at += 1
        if at < len(header) and header[at] != ",":
            return None


def check_tags(header: str) -> None:
    """What the service reads is what a second reader reads."""
    read = read_tags(header) or []
    is_any = header.strip(" \t") == "*"
    aim(float(len(read)), "tags")
    assert matches(header, 1) is (is_any or '"1"' in read)
    assert matches_weakly(header, 1) is (is_any or '"1"' in read or 'W/"1"' in read)


# --- settings

_FIELDS = {name.upper(): about for name, about in Settings.model_fields.items()}
_SECRETS = {name for name, about in _FIELDS.items() if is_secret(about)}
_SETTING_VALUES = [
    *(
        "",
        " ",
        "0",
        "1",
        "-1",
        "1e9",
        "nan",
        "inf",
        "1_000",
        "99999999999999999999",
        "true",
        "TRUE",
    ),
    *(
        "prod",
        "dev",
        "0.0.0.0",
        "::",
        "a b",
        "a\nb",
        "\udc80",
        "[]",
        "{}",
        "a,b",
        ",",
        "10.0.0.0/8",
    ),
    *("10.0.0.0/99", "http://[", "http://x:99999", "http://me:sesame@x", "https://x/?q", "sqlite:"),
    *("sqlite:///x", "postgresql://me:sesame@h:1/d?sslmode=x", "postgresql://[::1", "/nonexistent"),
    *("web:sha256:" + "a" * 64, "x:sha256:zz", "json", "text", "\N{ARABIC-INDIC DIGIT ONE}"),
]
_setting = st.sampled_from(_SETTING_VALUES) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
)
environments = st.builds(
    lambda variables, secrets: {**variables, **secrets},
    st.dictionaries(
        st.sampled_from(sorted(_FIELDS) + [f"{name}_FILE" for name in sorted(_SECRETS)]),
        _setting,
        max_size=5,
    ),
    st.dictionaries(
        st.sampled_from(sorted(_SECRETS)), _setting.map(lambda text: f"sesame{text}"), max_size=2
    ),
)


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """The process with these variables and no others that are settings."""
    before = dict(os.environ)
    names = {*_FIELDS, *(f"{name}_FILE" for name in _FIELDS)}
    for name in names & set(before):
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def check_settings(variables: dict[str, str]) -> None:
    """Settings are loaded, or every problem is a line that names its variable and no secret."""
    told = ""
    with environment(variables):
        problems: list[str] | None = None
        try:
            loaded = load(Settings)
        except SettingsError as error:
            problems = error.problems
            told = "\n".join(problems)
        else:
            told = "\n".join(f"{name}={value}" for name, value in loaded.shown().items())
    assert problems != []
    aim(float(len(problems or [])), "problems")
    assert "sesame" not in told, told


# --- answers of the AI service

_DRAFT = {"title": "x", "description": "", "priority": "low", "due": None, "tags": ["a"]}
_SUGGESTED = {"subtasks": ["a"], "priority": "high", "due": "2030-01-01T00:00:00Z"}


def _completion(content: object) -> object:
    return {"choices": [{"message": {"content": content}}]}


_contents = st.one_of(
    edited(
        st.sampled_from([json.dumps(_DRAFT).encode(), json.dumps(_SUGGESTED).encode()]),
        [b"null", b'"', b"\\ud800", b"\\u0000", b"1e999", b"NaN", b"[]", b"{", b"-0", b"9" * 30],
    ).map(lambda raw: raw.decode("latin-1")),
    st.builds(
        lambda base, name, value: json.dumps({**base, name: value}),
        st.sampled_from([_DRAFT, _SUGGESTED]),
        st.sampled_from([*_DRAFT, *_SUGGESTED, "x"]),
        json_values,
    ),
)
answers = st.one_of(
    _contents.map(lambda text: json.dumps(_completion(text)).encode()),
    json_values.map(lambda value: json.dumps(_completion(value)).encode()),
    edited(
        st.just(json.dumps(_completion(json.dumps(_DRAFT))).encode()),
        [b"[" * 2000, b"null", b"{", b"\xff", b"\\ud800", b"NaN"],
    ),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=20),
)


def check_answer(body: bytes) -> None:
    """An answer fits its schema and can be sent on, or it is a failure of the AI service's."""
    for model in (Suggestions, ParsedTodo):
        try:
            found = suggestions._parse(body, model)
        except AiFailure:
            continue
        aim(1.0, "taken")
        assert model.model_validate_json(to_json(found)) == found


# --- HTTP


class Log(logging.Handler):
    """Remembers what is worth a warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """One more."""
        self.lines.append(self.format(record))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing is logged at level warning meanwhile."""
    log = Log()
    logging.getLogger().addHandler(log)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(log)
    assert log.lines == [], log.lines


_POST = b"POST %b HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n%b"
_EVIL = b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"
_CHUNKED = b"Transfer-Encoding: chunked"
_REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"HEAD /a?b HTTP/1.1\r\nHost: x\r\n\r\n",
    _POST % (b"/early", b"Content-Length: 5", b"12345"),
    _POST % (b"/", b"Content-Length: %d" % len(_EVIL), _EVIL),
    _POST % (b"/", _CHUNKED, b"3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n"),
    _POST % (b"/early", _CHUNKED, b"1\r\na\r\n0\r\n\r\n"),
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    _POST % (b"/", b"Expect: 100-continue\r\nContent-Length: 2", b"ab"),
    b"GET http://y/z HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
]
_HTTP_TOKENS = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b":",
        b"\0",
        b"\x0b",
        b"0",
        b"5",
        b"chunked",
    ),
    *(b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Transfer-Encoding: identity\r\n", b"Host: y\r\n", b"Connection: close\r\n", b"HTTP/1.0"),
    *(b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n"),
    *(_EVIL, b" folded\r\n", b";", b",", b"+", b"0x", b"\xff"),
]


def segments(streams: st.SearchStrategy[bytes]) -> st.SearchStrategy[tuple[bytes, ...]]:
    """Streams cut into segments."""

    def cut(data: bytes, places: list[int]) -> tuple[bytes, ...]:
        ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
        return tuple(data[a:b] for a, b in itertools.pairwise(ends))

    return st.builds(cut, streams, st.lists(st.integers(0, 1 << 16), max_size=4))


streams = segments(
    edited(st.lists(st.sampled_from(_REQUESTS), max_size=4).map(b"".join), _HTTP_TOKENS)
)

type Seen = list[tuple[str, bytes, bytes]]


def read_by_h11(data: bytes) -> tuple[Seen, bool]:
    """The requests that another parser finds, and whether it took offence in the end."""
    judge = h11.Connection(h11.SERVER)
    found: Seen = []
    method, path, body = "", b"", b""
    with contextlib.suppress(h11.LocalProtocolError):
        judge.receive_data(data)
        while True:
            try:
                event = judge.next_event()
            except h11.RemoteProtocolError:
                return found, True
            if isinstance(event, h11.Request):
                # An application is told the path of an absolute target.
                path = re.sub(rb"(?i)^https?://[^/?#]*", b"", event.target)
                path = path if path[:1] in {b"/", b"*"} else b"/" + path
                method, body = event.method.decode(), b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                found.append((method, path, body))
                judge.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                judge.send(h11.EndOfMessage())
                judge.start_next_cycle()
            else:
                break
    return found, False


def fed(parts: Sequence[bytes]) -> tuple[Server, Client]:
    """A server that has been sent the segments, and has had all the time it takes to end."""
    server = Server()
    with quiet():
        client = server.connect().send(*parts)
        client.wait(300)
    return server, client


def check_http(parts: tuple[bytes, ...]) -> None:
    """Answers are responses, the connection ends, and no request is seen that is none."""
    data = b"".join(parts)
    server, client = fed(parts)
    whole_server, whole = fed([data])
    try:
        assert client.is_closed(), "the connection did not end"
        methods = [request.method for request in server.requests]
        statuses = _statuses(client, methods)
        aim(float(len(methods)), "requests")
        assert all(200 <= status < 600 for status in statuses)
        ours = _seen(server)
        read, took_offence = read_by_h11(data)
        # Answered before its body is there: the application is not told of it.
        theirs = [one for one in read if not one[1].startswith(b"/early")]
        assert ours[: len(theirs)] == theirs[: len(ours)], (ours, theirs)
        if not took_offence:
            assert len(ours) <= len(theirs), (ours, theirs)
        assert _seen(whole_server) == ours, "it depends on where the stream is cut"
        assert _statuses(whole, methods) == statuses, "it depends on where the stream is cut"
    finally:
        server.close()
        whole_server.close()


def _statuses(client: Client, methods: list[str]) -> tuple[int, ...]:
    """Those of the answers; one to what never became a request may be one to HEAD."""
    try:
        return client.statuses(*methods)
    except AssertionError:
        return client.statuses(*methods, "HEAD")


def _seen(server: Server) -> Seen:
    return [
        (one.method, one.path.encode() + (b"?" + one.query if one.query else b""), one.body)
        for one in server.requests
        if not one.is_gone and not one.path.startswith("/early")
    ]


# --- WebSockets

_HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_PAYLOADS = [b"", b"a", b"\xff", b"\xe2\x82", b"\xac", b"\x03\xe8", b"\x03\xed", b"x" * 125]


def _frame(opcode: Opcode, data: bytes, fin: bool, key: bytes) -> bytes:
    """A frame that a client sends, with a mask that is the same every time."""
    size = len(data)
    head = bytes([(0x80 if fin else 0) | opcode, 0x80 | min(size, 126)])
    length = size.to_bytes(2) if size >= 126 else b""
    return head + length + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(data))


frames = segments(
    edited(
        st.lists(
            st.builds(
                _frame,
                st.sampled_from(list(Opcode)),
                st.sampled_from(_PAYLOADS),
                st.booleans(),
                st.just(b"\0\1\2\3"),
            ),
            max_size=6,
        ).map(b"".join),
        [b"\x81", b"\x01", b"\x80", b"\x88\x80", b"\xfe\xff\xff", b"\xff" + b"\x7f" * 9, b"\0"],
        most=2,
    )
)


async def _listen(_: dict[str, Any], receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


def _talked(parts: Sequence[bytes]) -> list[tuple[int, bytes]]:
    server = Server()
    server.application.socket = _listen
    try:
        with quiet():
            client = server.connect().send(_HANDSHAKE)
            _, _, greeting = client.transport.taken.partition(b"\r\n\r\n")
            assert greeting == b""
            client.transport.taken = b""
            client.send(*parts)
            said = client.transport.taken
            client.wait(300)
        assert client.is_closed(), "the connection did not end"
        return list(_read_frames(said))
    finally:
        server.close()


def _read_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        assert data[0] & 0xF0 == 0x80, "a server sends whole frames without extensions"
        size = data[1]
        assert size <= 125, "a server answers with control frames, and masks none"
        assert len(data) >= 2 + size
        yield data[0] & 0x0F, data[2 : 2 + size]
        data = data[2 + size :]


def check_frames(parts: tuple[bytes, ...]) -> None:
    """A close frame has a code that may be sent; what is said does not depend on the cuts."""
    said = _talked(parts)
    aim(float(len(said)), "frames")
    for number, (opcode, payload) in enumerate(said):
        assert opcode in {Opcode.PONG, Opcode.CLOSE}
        if opcode == Opcode.CLOSE:
            assert number == len(said) - 1, "nothing is said after a close"
            code = int.from_bytes(payload[:2]) if payload else 1000
            assert 1000 <= code < 5000
            assert code not in {1004, 1005, 1006, 1015}
            payload[2:].decode()
    whole = _talked([b"".join(parts)])
    # Of several faults that come together the parser may find a later one first.
    assert _without_faults(whole) == _without_faults(said), "it depends on where the stream is cut"


def _without_faults(said: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    faults = {code.to_bytes(2) for code in (1002, 1007, 1009)}
    return [
        (opcode, b"a fault" if opcode == Opcode.CLOSE and payload[:2] in faults else payload)
        for opcode, payload in said
    ]


def subjects(service: Service) -> dict[str, Subject]:
    """All of them, by name."""
    return {
        "cursor": Subject(st.tuples(st.sampled_from(ORDERS), cursors), cursor_check(service), 150),
        "list query": Subject(queries, query_check(service), 150),
        "entity tags": Subject(tags, check_tags, 300),
        "settings": Subject(environments, check_settings, 200),
        "AI answers": Subject(answers, check_answer, 300),
        "HTTP": Subject(streams, check_http, 150),
        "WebSocket": Subject(frames, check_frames, 100),
    }
