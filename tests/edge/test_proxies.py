"""What a proxy says of its client is believed of those that are trusted, and of nobody else.

Seen by the sockets that one address may hold, which is where the service looks at addresses.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from backend.tests.process import Running
from tests.edge.frames import HANDSHAKE, Socket
from tests.edge.server import TODOS, attacked
from tests.edge.wire import converse

A, B = b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-For: 192.0.2.2"


@pytest.fixture(scope="module")
def untrusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with served(tmp_path_factory.mktemp("none"), "") as server:
        yield server


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Trusts proxies, and we are none of them."""
    with served(tmp_path_factory.mktemp("other"), "10.0.0.0/8,2001:db8::/32,192.0.2.7") as server:
        yield server


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Trusts this machine, and a proxy before it."""
    with served(tmp_path_factory.mktemp("us"), "127.0.0.0/8,10.0.0.0/8,2001:db8::/32") as server:
        yield server


@contextlib.contextmanager
def served(folder: Path, trusted: str) -> Iterator[Running]:
    quiet = {"KEEP_ALIVE_TIMEOUT": "60", "WS_PING_INTERVAL": "60", "HEADER_TIMEOUT": "30"}
    with attacked(
        folder, TRUSTED_PROXIES=trusted, WS_MAX_CONNECTIONS_PER_CLIENT="1", **quiet
    ) as server:
        yield server


def handshake(*fields: bytes) -> bytes:
    return b"\r\n".join([HANDSHAKE[:-4], *fields, b"", b""])


def held_together(server: Running, first: Sequence[bytes], second: Sequence[bytes]) -> bool:
    """Whether two sockets at a time are those of two clients."""
    with (
        accepted(server, first),
        Socket(server.port, handshake(*second)) as other,
    ):
        assert other.status in {101, 429}
        return other.status == 101


def accepted(server: Running, fields: Sequence[bytes]) -> Socket:
    """A socket, as soon as the server has seen the end of the test's before."""
    deadline = time.monotonic() + 10
    while True:
        client = Socket(server.port, handshake(*fields))
        if client.status == 101:
            return client
        with client:
            assert client.status == 429
            assert time.monotonic() < deadline, "the socket before is still held"
        time.sleep(0.02)


SPOOFED = {
    "one address and another": ([A], [B]),
    "an address and none": ([A], []),
    "many lines": ([A, B], [B, A]),
    "lists": ([A + b", 10.0.0.1"], [B + b", 10.0.0.1"]),
    "IPv6": ([b"X-Forwarded-For: 2001:db9::1"], [b"X-Forwarded-For: [2001:db9::2]:80"]),
    "Forwarded": ([b"Forwarded: for=192.0.2.1"], [b"Forwarded: for=192.0.2.2"]),
    "X-Real-IP": ([b"X-Real-IP: 192.0.2.1"], [b"X-Real-IP: 192.0.2.2"]),
    "ports": ([A + b":1"], [A + b":2"]),
}


@pytest.mark.parametrize("who", ["untrusting", "elsewhere"])
@pytest.mark.parametrize("name", SPOOFED)
def test_nobody_becomes_another_client_by_saying_so(
    request: pytest.FixtureRequest, who: str, name: str
) -> None:
    server: Running = request.getfixturevalue(who)
    assert not held_together(server, *SPOOFED[name])


# What a trusted proxy says, and whether the two are different clients by it.
SAID = {
    "another client": ([A], [B], True),
    "the same client": ([A], [A], False),
    "the same client from another port": ([A + b":1"], [A + b":2"], False),
    "a client that spoofs an address before the proxy's word": (
        [b"X-Forwarded-For: 198.51.100.1, 192.0.2.1"],
        [b"X-Forwarded-For: 198.51.100.2, 192.0.2.1"],
        False,
    ),
    "the same in lines": (
        [b"X-Forwarded-For: 198.51.100.1", A],
        [b"X-Forwarded-For: 198.51.100.2", A],
        False,
    ),
    "a client behind two proxies": ([A + b", 10.0.0.1"], [B + b", 10.0.0.2"], True),
    "one client behind two proxies": ([A + b", 10.0.0.1"], [A + b",10.0.0.2"], False),
    "IPv6 clients": (
        [b"X-Forwarded-For: 2001:db9::1"],
        [b"X-Forwarded-For: 2001:db9::2, 2001:db8::1"],
        True,
    ),
    "what is not looked at": (
        [A, b"Forwarded: for=192.0.2.8", b"X-Forwarded-Host: a"],
        [A, b"Forwarded: for=192.0.2.9", b"X-Forwarded-Host: b"],
        False,
    ),
}


@pytest.mark.parametrize("name", SAID)
def test_a_trusted_proxy_says_who_its_client_is(trusting: Running, name: str) -> None:
    first, second, differ = SAID[name]
    assert held_together(trusting, first, second) is differ


GARBAGE = [
    b"X-Forwarded-For:",
    b"X-Forwarded-For: ,,, ,",
    b"X-Forwarded-For: unknown",
    b"X-Forwarded-For: [::1",
    b"X-Forwarded-For: 1.2.3.4:99999999999999999999",
    b"X-Forwarded-For: 999.1.1.1, ::::, 1e9",
    b"X-Forwarded-For: \xff\xfe",
    b"X-Forwarded-For: " + b"1.2.3.4, " * 400,
    b"X-Forwarded-For: 127.0.0.1",
    b"X-Forwarded-Proto: gopher",
    b"X-Forwarded-Proto:",
    b"X-Forwarded-Proto: https, http",
    b"X-Forwarded-Proto: \xff",
    b"X-Forwarded-Host: evil.example",
    b"X-Forwarded-Port: -1",
    b"X-Forwarded-Prefix: /../..",
    b'Forwarded: for=;by="";host',
    b'Forwarded: for="[2001:db8::1]:80", for=_x;proto=https',
]


@pytest.mark.parametrize("who", ["untrusting", "elsewhere", "trusting"])
def test_rubbish_changes_nothing(request: pytest.FixtureRequest, who: str) -> None:
    server: Running = request.getfixturevalue(who)
    for field in GARBAGE:
        for line in (b"GET " + TODOS.encode() + b"?limit=1", b"GET /nowhere"):
            sent = b"\r\n".join([line + b" HTTP/1.1", b"Host: x", field, b"", b""])
            said = converse(server.port, sent)
            assert said.statuses == ((200,) if b"limit" in line else (404,)), field
            assert b"evil" not in said.answers[0].body
        with accepted(server, [field]):
            pass


def test_a_place_is_told_without_a_host(trusting: Running) -> None:
    """Where a todo was stored is a path: nobody's word about the host can lead a client astray."""
    body = b'{"title":"x"}'
    head = [
        b"POST " + TODOS.encode() + b" HTTP/1.1",
        b"Host: x",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        b"X-Forwarded-Host: evil.example",
        b"X-Forwarded-Proto: https",
        b"Forwarded: host=evil.example",
        b"",
        body,
    ]
    said = converse(trusting.port, b"\r\n".join(head), methods=("POST",))
    assert said.statuses == (201,)
    assert said.answers[0].headers["location"].startswith(TODOS)
