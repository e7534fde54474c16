"""The stub answers as it is told to, and ends with its block."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tools.dev.ai import (
    AiStub,
    after,
    by_example,
    completion,
    never,
    one_after_another,
    responds,
    says,
    sends,
)


@pytest.fixture
def stub() -> Iterator[AiStub]:
    with AiStub() as stub:
        yield stub


@pytest.fixture
def client(stub: AiStub) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stub.url, trust_env=False, timeout=10) as client:
        yield client


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def ask(client: httpx.Client, document: object = None) -> httpx.Response:
    return client.post("/chat/completions", json=document or {"messages": []})


def content(response: httpx.Response) -> object:
    return json.loads(response.json()["choices"][0]["message"]["content"])


def test_it_answers_with_the_example_of_the_schema_that_is_asked_for(client: httpx.Client) -> None:
    wanted = {"title": "Answer", "examples": [{"yes": True}, {"yes": False}]}
    document = {"response_format": {"json_schema": {"name": "Answer", "schema": wanted}}}
    assert content(ask(client, document)) == {"yes": True}


@pytest.mark.parametrize(
    "document",
    [
        {"messages": []},
        {"response_format": {"json_schema": {"schema": {"type": "object"}}}},
        {"response_format": {"json_schema": {"schema": {"examples": []}}}},
        {"response_format": "json"},
    ],
)
def test_without_an_example_it_says_what_is_missing(client: httpx.Client, document: object) -> None:
    response = ask(client, document)
    assert response.status_code == 400
    assert "example of the schema" in response.json()["error"]["message"]


def test_it_says_what_it_is_told_and_keeps_what_it_heard(
    stub: AiStub, client: httpx.Client
) -> None:
    stub.behaviour = says({"a": 1})
    client.headers["Authorization"] = "Bearer sesame"
    assert content(ask(client, {"messages": ["x"]})) == {"a": 1}
    (exchange,) = stub.exchanges
    assert exchange.header.startswith("POST /v1/chat/completions HTTP/1.1\r\n")
    assert "authorization: bearer sesame\r\n" in exchange.header.lower()
    assert exchange.json == {"messages": ["x"]}


def test_a_text_is_said_as_it_is(stub: AiStub, client: httpx.Client) -> None:
    stub.behaviour = says("Sure!")
    assert ask(client).content == completion("Sure!")


def test_a_status_a_body_and_headers_are_sent(stub: AiStub, client: httpx.Client) -> None:
    stub.behaviour = responds(b"slow down", 429, "Retry-After: 7")
    response = ask(client)
    assert (response.status_code, response.content) == (429, b"slow down")
    assert response.headers["Retry-After"] == "7"
    assert response.reason_phrase == "Too Many Requests"


def test_an_unknown_status_is_sent_too(stub: AiStub, client: httpx.Client) -> None:
    stub.behaviour = responds(b"", 599)
    assert ask(client).status_code == 599


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x16\x03\x01", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"],
    ids=["nothing", "not HTTP", "half a body"],
)
def test_broken_bytes_are_sent_and_the_connection_is_closed(
    stub: AiStub, client: httpx.Client, raw: bytes
) -> None:
    stub.behaviour = sends(raw)
    with pytest.raises(httpx.RemoteProtocolError):
        ask(client)


def test_a_body_of_any_size_arrives(stub: AiStub, client: httpx.Client) -> None:
    stub.behaviour = responds(b" " * 5_000_000)
    assert len(ask(client).content) == 5_000_000


def test_it_answers_later(stub: AiStub, client: httpx.Client) -> None:
    stub.behaviour = after(0.2, says({}))
    began = time.monotonic()
    assert ask(client).status_code == 200
    assert time.monotonic() - began >= 0.2


def test_it_does_not_answer(stub: AiStub, client: httpx.Client) -> None:
    stub.behaviour = never
    with pytest.raises(httpx.ReadTimeout):
        client.post("/chat/completions", json={}, timeout=0.1)
    # It may hear of the call after the client has given up.
    until(lambda: stub.running == 1)


def test_behaviours_follow_one_another_and_the_last_stays(
    stub: AiStub, client: httpx.Client
) -> None:
    stub.behaviour = one_after_another(responds(b"", 503), says({}))
    assert [ask(client).status_code for _ in range(3)] == [503, 200, 200]


def test_other_requests_are_answered_and_not_counted(stub: AiStub, client: httpx.Client) -> None:
    stub.behaviour = responds(b"", 500)
    response = client.get("/models")
    assert (response.status_code, response.json(), stub.calls) == (200, {"data": []}, 0)


def test_calls_at_the_same_time_are_counted(stub: AiStub, client: httpx.Client) -> None:
    stub.behaviour = after(0.3, says({}))
    threads = [threading.Thread(target=ask, args=(client,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (stub.calls, stub.most_at_once) == (4, 4)
    # A client has its answer a moment before the stub is done with it.
    until(lambda: stub.running == 0)


def test_a_connection_serves_many_calls(stub: AiStub) -> None:
    stub.behaviour = says({})
    accepted = []
    with httpx.Client(base_url=stub.url, trust_env=False) as client:
        for _ in range(3):
            ask(client)
            accepted.append(stub.connections)
    assert accepted == [1, 1, 1]


def test_a_client_that_wants_the_connection_closed_gets_it(stub: AiStub) -> None:
    stub.behaviour = says({})
    host, port = stub.url.removeprefix("http://").removesuffix("/v1").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST /v1 HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(4096), b""))
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")


def test_whoever_wants_to_is_told_of_calls() -> None:
    told: list[bytes] = []
    with (
        AiStub(behaviour=says({}), heard=lambda exchange: told.append(exchange.body)) as stub,
        httpx.Client(base_url=stub.url, trust_env=False) as client,
    ):
        ask(client, {"a": 1})
    assert [json.loads(body) for body in told] == [{"a": 1}]


def test_a_stopped_one_refuses_and_comes_back_at_the_same_address(
    stub: AiStub, client: httpx.Client
) -> None:
    stub.behaviour = says({})
    url = stub.url
    ask(client)
    began = time.monotonic()
    stub.stop()
    # A connection that is kept alive is broken off, not waited for.
    assert time.monotonic() - began < 2
    with pytest.raises(httpx.TransportError):
        ask(client)
    stub.start()
    assert ask(client).status_code == 200
    assert (stub.url, stub.calls) == (url, 2)


def test_stopping_breaks_off_what_hangs(stub: AiStub, client: httpx.Client) -> None:
    stub.behaviour = never
    outcome: list[Exception] = []

    def hang() -> None:
        try:
            ask(client)
        except httpx.HTTPError as error:
            outcome.append(error)

    thread = threading.Thread(target=hang)
    thread.start()
    until(lambda: stub.running == 1)
    began = time.monotonic()
    stub.stop()
    thread.join(5)
    assert time.monotonic() - began < 2
    assert isinstance(outcome[0], httpx.RemoteProtocolError)
    assert (stub.running, stub.connections) == (0, 0)


def test_by_example_is_how_it_begins() -> None:
    assert AiStub().behaviour is by_example
