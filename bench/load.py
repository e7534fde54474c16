"""The service of //image under load, by the requests of the todo API, from unpacked images."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx

from backend.bench import load
from bench.commands import BenchError, find, run
from bench.servers import Serving, Unpacked

READS = {"list": "/api/v1/todos", "one": "/api/v1/todos/{id}"}
_CREATE = "create, 32 connections"
_CONNECTIONS = 10
_REQUESTS = 100


def migrate(image: Unpacked, url: str) -> None:
    """Makes the service's tables in a database."""
    run(image.command({"DATABASE_URL": url}, "migrate"))


def start(image: Unpacked, log: Path, url: str, ready: str) -> tuple[float, float]:
    """Starts the service and ends it.

    Returns:
        Seconds until it is ready, and MB of resident memory after a hundred requests.

    Raises:
        BenchError: it does not start, or refuses a request.
    """
    began = time.monotonic()
    with Serving(image, log, {"DATABASE_URL": url}) as service:
        service.wait_ready(ready)
        seconds = time.monotonic() - began
        try:
            with httpx.Client(base_url=service.url) as client:
                for _ in range(_REQUESTS):
                    client.get(READS["list"]).raise_for_status()
        except httpx.HTTPError as error:
            raise BenchError(f"the service refuses: {error}") from error
        return seconds, service.resident()


def loaded(
    images: Mapping[str, Unpacked],
    folder: Path,
    url: str,
    ready: str,
    rounds: int,
    seconds: int,
    *,
    reads: bool,
    writes: bool,
) -> Iterator[tuple[str, str, float]]:
    """Loads services of all images in turn, on one database.

    Yields:
        A row's name, whose image it was, and the figure: requests a second, or milliseconds.

    Raises:
        BenchError: a request failed.
    """
    wrk = find("wrk") or "wrk"
    with ExitStack() as stack:
        servers = {}
        for name, image in images.items():
            log = folder / f"{name}.log"
            service = stack.enter_context(Serving(image, log, {"DATABASE_URL": url}))
            service.wait_ready(ready)
            servers[name] = load.Server(service.url, service.pid)
        todo = load.fill(next(iter(servers.values())).url)
        kinds = [*(READS if reads else ()), *(["create"] if writes else ())]
        for number in range(rounds + 1):
            for kind in kinds:
                for name in sorted(servers, reverse=number % 2 == 1):
                    server = servers[name]
                    try:
                        if kind == "create":
                            ids = asyncio.run(load.seeded(url, 1))
                            found = load.write(wrk, [server], load.WRITES[_CREATE], ids, seconds)
                        else:
                            asked = server.url + READS[kind].format(id=todo)
                            found = load.wrk(wrk, server, [asked], seconds, _CONNECTIONS)
                    except load.LoadError as error:
                        raise BenchError(f"the image of {name} under load: {error}") from error
                    # The first round warms caches and prepared statements.
                    if number:
                        yield f"{kind} rate", name, found["rate"]
                        yield f"{kind} p99", name, found["p99"]
