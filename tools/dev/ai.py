"""An AI service that can do everything wrong: a server on loopback that says what it is told to."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

type Behaviour = Callable[["Exchange"], Awaitable[None]]

SUGGESTIONS = {"subtasks": ["find the can", "fill it"], "priority": "high", "due": None}


class Exchange:
    """One request, and the connection to answer it on."""

    def __init__(
        self, header: str, body: bytes, writer: asyncio.StreamWriter, stub: "AiStub"
    ) -> None:
        self.header = header
        self.body = body
        self._writer = writer
        self.stub = stub

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document

    async def send(self, raw: bytes) -> None:
        self._writer.write(raw)
        await self._writer.drain()

    async def respond(self, body: bytes, status: int = 200, *headers: str) -> None:
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
        await self.send("\r\n".join([*lines, *headers, "", ""]).encode() + body)


class AiStub:
    """The server. `behaviour` answers chat completions; requests are kept."""

    def __init__(self) -> None:
        self.behaviour: Behaviour = says(SUGGESTIONS)
        self.exchanges: list[Exchange] = []
        self.running = 0
        self.most_at_once = 0
        self.url = ""

    @property
    def calls(self) -> int:
        return len(self.exchanges)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            header = (await reader.readuntil(b"\r\n\r\n")).decode()
            if header.startswith("GET"):
                await Exchange(header, b"", writer, self).respond(b"{}")
            else:
                length = next(
                    int(line.split(":")[1])
                    for line in header.lower().splitlines()
                    if line.startswith("content-length:")
                )
                exchange = Exchange(header, await reader.readexactly(length), writer, self)
                self.exchanges.append(exchange)
                self.running += 1
                self.most_at_once = max(self.most_at_once, self.running)
                try:
                    await self.behaviour(exchange)
                finally:
                    self.running -= 1
        writer.close()


@asynccontextmanager
async def ai_stub() -> AsyncIterator[AiStub]:
    stub = AiStub()
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await stub.handle(reader, writer)
        except asyncio.CancelledError:
            writer.close()
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield stub
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def completion(content: str) -> bytes:
    return json.dumps({"choices": [{"message": {"content": content}}]}).encode()


def says(answer: object) -> Behaviour:
    """Answer well, with this document."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return responds(completion(text))


def responds(body: bytes, status: int = 200, *headers: str) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        await exchange.respond(body, status, *headers)

    return behave


def sends(raw: bytes) -> Behaviour:
    """Send bytes as they are, then close."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(raw)

    return behave


def after(seconds: float, then: Behaviour) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await then(exchange)

    return behave


def one_after_another(*behaviours: Behaviour) -> Behaviour:
    """A behaviour for each call in turn, the last for all that follow."""

    async def behave(exchange: Exchange) -> None:
        number = min(exchange.stub.calls, len(behaviours)) - 1
        await behaviours[number](exchange)

    return behave
