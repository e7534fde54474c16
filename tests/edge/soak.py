"""An hour's traffic in fifteen minutes: clients come, go, stall and break. What do they leave?

    tools/bazel run //tests/edge:soak [-- --minutes N]

A server with the limits of production but shorter times is asked 200 times a second, four times the
rate of an hour of 50. Meanwhile others stall in every state that `test_stalls` knows, send rubbish,
reset their connections, and hold sockets that they do not read. When all have gone, memory,
descriptors and threads have to be what they were after the first fifth, and nothing may be in
flight.
"""

import argparse
import asyncio
import contextlib
import itertools
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from backend.tests.process import Running
from tests.edge.frames import HANDSHAKE, PING, TEXT, frame
from tests.edge.server import TODOS, complaints, end, memory, open_files
from tests.edge.test_stalls import STATES

MIB = 1 << 20
RATE = 200.0
MOST_AT_ONCE = 40
WARM = 0.2
GROWTH = 0.1
SLACK = 8 * MIB
# Connections of the pool that were opened and are kept: a SQLite file is three descriptors, and a
# thread.
KEPT_CONNECTIONS = 15
KEPT_FILES = 3 * KEPT_CONNECTIONS
# Of the stalling and breaking clients, a second.
HOSTILE_RATE = 20.0
TIMES = {
    "HEADER_TIMEOUT": "2",
    "BODY_TIMEOUT": "2",
    "WRITE_TIMEOUT": "2",
    "KEEP_ALIVE_TIMEOUT": "3",
    "WS_PING_INTERVAL": "3",
    "WS_PING_TIMEOUT": "3",
    "WS_MAX_CONNECTIONS_PER_CLIENT": "1000",
}


@dataclass(frozen=True)
class Sample:
    """What the process has."""

    seconds: float
    memory: int
    files: int
    threads: int

    def __str__(self) -> str:
        return (
            f"{self.seconds:6.0f} s: {self.memory / 1e6:6.1f} MB, {self.files} descriptors, "
            f"{self.threads} threads"
        )


def sample(server: Running, began: float) -> Sample:
    """Now."""
    threads = len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))
    return Sample(time.monotonic() - began, memory(server), open_files(server), threads)


class Soak:
    """The clients of one run."""

    def __init__(self, server: Running, seed: int) -> None:
        self._server = server
        self._random = random.Random(seed)
        self._ids: list[str] = []
        self._asking = 0
        self.counts: Counter[str] = Counter()

    async def run(self, seconds: float, began: float) -> list[Sample]:
        """All of them at once; the samples, the first after the first fifth."""
        samples: list[Sample] = []
        limits = httpx.Limits(max_connections=MOST_AT_ONCE, max_keepalive_connections=20)
        async with (
            httpx.AsyncClient(base_url=self._server.url, limits=limits, timeout=30) as client,
            asyncio.TaskGroup() as group,
        ):
            hostile = list(STATES.values())
            stop = time.monotonic() + seconds
            asks = self._paced(group, RATE, stop, lambda: self._ask(client))
            strangers = self._paced(
                group, HOSTILE_RATE, stop, lambda: self._stall(*self._random.choice(hostile))
            )
            followers = self._paced(group, 2.0, stop, self._follow)
            breakers = self._paced(group, HOSTILE_RATE, stop, self._break)
            for one in (asks, strangers, followers, breakers):
                group.create_task(one)
            await asyncio.sleep(seconds * WARM)
            while time.monotonic() < stop:
                samples.append(sample(self._server, began))
                print(samples[-1], flush=True)
                await asyncio.sleep(min(30.0, max(0.1, stop - time.monotonic())))
        return samples

    async def _paced(
        self,
        group: asyncio.TaskGroup,
        rate: float,
        stop: float,
        make: Callable[[], Awaitable[None]],
    ) -> None:
        """Begin one after the other at a rate, whatever becomes of them."""
        began = time.monotonic()
        for number in itertools.count():
            due = began + number / rate
            if due > stop:
                return
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            group.create_task(self._one(make))

    async def _one(self, make: Callable[[], Awaitable[None]]) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await make()

    async def _ask(self, client: httpx.AsyncClient) -> None:
        if self._asking >= MOST_AT_ONCE:
            # This machine is slower than the rate: queueing here would say nothing of the service.
            self.counts["not asked"] += 1
            return
        self._asking += 1
        try:
            await self._ask_something(client)
        finally:
            self._asking -= 1

    async def _ask_something(self, client: httpx.AsyncClient) -> None:
        what = self._random.random()
        try:
            if what < 0.1 or not self._ids:
                made = await client.post(TODOS, json={"title": "soak", "tags": ["a", "b"]})
                answer = made
                if made.status_code == 201:
                    self._ids.append(made.json()["id"])
            elif what < 0.2:
                path = f"{TODOS}/{self._random.choice(self._ids)}"
                answer = await client.patch(path, json={"description": str(what)})
            elif what < 0.28 and len(self._ids) > 100:
                answer = await client.delete(f"{TODOS}/{self._ids.pop(0)}")
            elif what < 0.6:
                answer = await client.get(TODOS, params={"limit": 50})
            else:
                answer = await client.get(f"{TODOS}/{self._random.choice(self._ids)}")
        except httpx.HTTPError as error:
            self.counts[f"client {type(error).__name__}"] += 1
        else:
            self.counts[str(answer.status_code)] += 1

    async def _stall(self, first: bytes, drip: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        reads = self._random.random() < 0.5
        try:
            begin, handshake, then = first.partition(HANDSHAKE)
            writer.write(begin + handshake)
            stop = time.monotonic() + 20
            while time.monotonic() < stop and not reader.at_eof():
                writer.write(then or drip)
                then = b""
                await asyncio.sleep(0.2)
                if reads:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(65536), 0.05)
                elif writer.is_closing():
                    break
            self.counts["stalled"] += 1
        finally:
            writer.transport.abort()

    async def _break(self) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        try:
            first, _ = self._random.choice(list(STATES.values()))
            data = bytearray(first or b"GET / HTTP/1.1\r\n\r\n")
            for _ in range(3):
                data[self._random.randrange(len(data))] = self._random.randrange(256)
            writer.write(bytes(data))
            await asyncio.sleep(self._random.random() / 4)
            self.counts["broken"] += 1
        finally:
            # A reset: what was on its way is lost.
            writer.transport.abort()

    async def _follow(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        try:
            writer.write(HANDSHAKE)
            reads = self._random.random() < 0.7
            stop = time.monotonic() + self._random.uniform(0.5, 15)
            while time.monotonic() < stop and not reader.at_eof():
                if reads:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(65536), 0.3)
                    writer.write(frame(PING, b"x") if stop % 2 < 1 else frame(TEXT, b"hello"))
                await asyncio.sleep(0.7)
            self.counts["followed"] += 1
        finally:
            writer.transport.abort()


def in_flight(server: Running) -> float:
    """Requests in flight, the one that asks left out."""
    text = httpx.get(f"{server.url}/metrics").text
    values = [
        float(line.split()[-1])
        for line in text.splitlines()
        if line.startswith("http_requests_in_flight")
    ]
    return sum(values) - 1


def main() -> int:
    """Run it; exit code 1 where something was left behind."""
    parser = argparse.ArgumentParser(prog="tools/bazel run //tests/edge:soak --")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/todos.db"
        with Running(DATABASE_URL=url, **TIMES) as server:
            server.wait_ready()
            idle = sample(server, began)
            print(f"{idle} before anybody came", flush=True)
            soak = Soak(server, arguments.seed)
            samples = asyncio.run(soak.run(arguments.minutes * 60, began))
            deadline = time.monotonic() + 60
            while open_files(server) > idle.files + KEPT_FILES and time.monotonic() < deadline:
                time.sleep(0.2)
            last = sample(server, began)
            print(f"{last} when all had gone")
            print(", ".join(f"{name}: {count}" for name, count in sorted(soak.counts.items())))
            faults = [
                fault
                for fault, is_there in {
                    "memory grew": last.memory > samples[0].memory * (1 + GROWTH) + SLACK,
                    "descriptors were left": last.files > idle.files + KEPT_FILES,
                    "threads were left": last.threads > idle.threads + KEPT_CONNECTIONS,
                    "requests are in flight": in_flight(server) > 0,
                    "answers of 5xx": any(name.startswith("5") for name in soak.counts),
                    f"complaints: {complaints(server)[:3]}": bool(complaints(server)),
                }.items()
                if is_there
            ]
            print("; ".join(faults) or "nothing was left behind", flush=True)
            end(server)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
