"""Compares the service with bare FastAPI + asyncpg handlers doing the same queries.

    python -m backend.bench

Needs wrk and TEST_POSTGRES, an unpacked Debian root with postgresql-17. Both servers run at once on
one PostgreSQL, which keeps what it commits, and are loaded in turn, in many short rounds: a machine
that is slow for some seconds takes away from a pair of rounds, not from one server.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from backend.bench.load import TODOS, WRITES, LoadError, Server, fill, seeded, write, wrk
from tools.dev import postgres
from tools.dev.process import Running, environment, python_command, run

SERVICE = "backend"
LEAST_RATE = 0.85
MOST_P99 = 1.5
STARTS = 5
REPLICAS = 2


# More than anybody deletes in a second.
DELETED_A_SECOND = 6000


def compare_writes(
    arguments: argparse.Namespace, url: str, servers: dict[str, list[Server]]
) -> dict[str, Any]:
    """Each kind of change, in turn on either side."""
    results: dict[str, Any] = {}
    for name, what in WRITES.items():
        measured: dict[str, list[dict[str, float]]] = {"bare": [], "service": []}
        for number in range(arguments.rounds + 1):
            print(f"{name}: round {number} of {arguments.rounds}", file=sys.stderr, flush=True)
            for who in sorted(servers, reverse=number % 2 == 1):
                wanted = DELETED_A_SECOND * arguments.seconds if what.is_used_up else TODOS
                ids = asyncio.run(seeded(url, wanted))
                replicas = servers[who][: what.replicas]
                measured[who].append(write(arguments.wrk, replicas, what, ids, arguments.seconds))
        kept = {who: rounds[1:] for who, rounds in measured.items()}
        results[name] = {who: _median(rounds) for who, rounds in kept.items()}
        results[name]["ratios"] = _ratios(kept["service"], kept["bare"])
    return results


def serve_bare(url: str, stack: ExitStack) -> Server:
    """Start the peer."""
    port = postgres.free_port()
    process = subprocess.Popen(
        [*python_command(), "-m", "backend.bench.bare"],
        env=environment(DATABASE_URL=url, PORT=str(port)),
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)
    base = f"http://127.0.0.1:{port}"
    wait_for(lambda: httpx.get(f"{base}/api/v1/todos").status_code == httpx.codes.OK)
    return Server(base, process.pid)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise SystemExit("the server did not start within 30 seconds")


def starts(url: str, times: int) -> tuple[float, float]:
    """Start the service again and again on a migrated database.

    Returns:
        The medians of the time from the process' start to readiness, in milliseconds, and of its
        resident memory after a hundred requests, in megabytes.
    """
    milliseconds, megabytes = [], []
    for _ in range(times):
        began = time.perf_counter()
        with Running(SERVICE, DATABASE_URL=url) as service:
            service.wait_ready()
            milliseconds.append((time.perf_counter() - began) * 1000)
            with httpx.Client(base_url=service.url) as client:
                for _ in range(100):
                    client.get("/api/v1/todos").raise_for_status()
            pages = int(Path(f"/proc/{service.process.pid}/statm").read_text().split()[1])
            megabytes.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
    return statistics.median(milliseconds), statistics.median(megabytes)


def compare(arguments: argparse.Namespace, root: Path) -> dict[str, Any]:
    """Measure both; the medians over the rounds."""
    with ExitStack() as stack:
        folder = postgres.new_folder()
        stack.callback(postgres.remove, folder)
        settings = {**postgres.DURABLE, "max_connections": "100"}
        database = postgres.Postgres(root, folder, settings=settings)
        stack.callback(database.stop)
        database.start()
        migrated = run(SERVICE, "migrate", DATABASE_URL=database.url)
        if migrated.returncode:
            raise SystemExit(migrated.stderr)
        variables = {"DATABASE_URL": database.url, **dict(arguments.settings)}
        services = [stack.enter_context(Running(SERVICE, **variables)) for _ in range(REPLICAS)]
        for service in services:
            service.wait_ready()
        todo_id = fill(services[0].url)
        servers = {
            "bare": [serve_bare(database.url, stack) for _ in range(REPLICAS)],
            "service": [Server(service.url, service.process.pid) for service in services],
        }
        results: dict[str, Any] = {}
        reads = (("list of 20", "/api/v1/todos"), ("one todo", f"/api/v1/todos/{todo_id}"))
        for name, path in reads if "reads" in arguments.only else ():
            measured: dict[str, list[dict[str, float]]] = {"bare": [], "service": []}
            for number in range(arguments.rounds + 1):
                print(f"{name}: round {number} of {arguments.rounds}", file=sys.stderr, flush=True)
                # Either goes first as often as the other.
                for who in sorted(servers, reverse=number % 2 == 1):
                    measured[who].append(
                        wrk(
                            arguments.wrk,
                            servers[who][0],
                            [servers[who][0].url + path],
                            arguments.seconds,
                            arguments.connections,
                        )
                    )
            # The first round warms caches and prepared statements.
            kept = {who: rounds[1:] for who, rounds in measured.items()}
            results[name] = {who: _median(rounds) for who, rounds in kept.items()}
            results[name]["ratios"] = _ratios(kept["service"], kept["bare"])
        if "writes" in arguments.only:
            results |= compare_writes(arguments, database.url, servers)
        results["start"] = starts(database.url, STARTS)
        return results


def _ratios(
    service: list[dict[str, float]], bare: list[dict[str, float]]
) -> dict[str, list[float]]:
    """The quartiles of the ratios of the rounds that ran one after the other."""
    return {
        name: statistics.quantiles(
            (mine[name] / peer[name] for mine, peer in zip(service, bare, strict=True)), n=4
        )
        for name in ("rate", "p99")
    }


def _median(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def main() -> int:
    """Print a table; exit code 1 when the service misses its target on the list."""
    parser = argparse.ArgumentParser(prog="python -m backend.bench", description=__doc__)
    parser.add_argument("--wrk", default=shutil.which("wrk") or "wrk")
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--only", choices=("reads", "writes"), nargs="*", default=["reads", "writes"]
    )
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        type=lambda text: tuple(text.split("=", 1)),
        help="NAME=VALUE of the service",
    )
    arguments = parser.parse_args()
    root = postgres.tree()
    if root is None:
        sys.exit("TEST_POSTGRES is unset: it names an unpacked Debian root with postgresql-17")
    try:
        results = compare(arguments, root)
    except LoadError as error:
        sys.exit(str(error))
    if arguments.json:
        print(json.dumps(results, indent=2))
    milliseconds, megabytes = results.pop("start")
    print("| Query | Server | requests/s | p50 ms | p99 ms | CPU us |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, both in results.items():
        for who in ("bare", "service"):
            figures = both[who]
            print(
                f"| {name} | {who} | {figures['rate']:.0f} | {figures['p50']:.2f} "
                f"| {figures['p99']:.2f} | {figures['cpu']:.0f} |"
            )
    print(f"\nstart to ready: {milliseconds:.0f} ms; resident: {megabytes:.0f} MB")
    for name, both in results.items():
        for figure, quartiles in both["ratios"].items():
            low, middle, high = quartiles
            print(f"{name}: {figure} {middle:.2f} x the peer's; middle half {low:.2f}-{high:.2f}")
    if "reads" not in arguments.only:
        return 0
    listed = results["list of 20"]["ratios"]
    rate, p99 = listed["rate"][1], listed["p99"][1]
    is_met = rate >= LEAST_RATE and p99 <= MOST_P99
    verdict = "met" if is_met else "missed"
    print(f"targets for the list, rate {LEAST_RATE} and p99 {MOST_P99}: {verdict}")
    return 0 if is_met else 1


if __name__ == "__main__":
    os.environ.setdefault("TEST_TMPDIR", "/tmp")
    sys.exit(main())
