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
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from tools.dev import postgres
from tools.dev.process import Running, environment, python_command, run

SERVICE = "backend"
LEAST_RATE = 0.85
MOST_P99 = 1.5
TODOS = 500
STARTS = 5
REPLICAS = 2


@dataclass(frozen=True)
class Server:
    """A server under load."""

    url: str
    pid: int

    def processor_seconds(self) -> float:
        """Processor time it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Writes:
    """One kind of change under load.

    Attributes:
        script: for wrk, in Lua; it may read ids from the file whose path `args` has.
        connections: of wrk, to all replicas together.
        replicas: of the service, and processes of the peer.
        is_used_up: whether a todo serves once.
    """

    script: str
    connections: int
    replicas: int
    is_used_up: bool = False


_HEAD = """
wrk.headers["Content-Type"] = "application/json"
local ids, next = {}, 0
function init(args)
  if args[1] then for line in io.lines(args[1]) do ids[#ids + 1] = line end end
end
local function body()
  return '{"title":"Todo number ' .. next .. '","description":"What has to be done, in a sentence '
    .. 'or two of usual length.","tags":["home"],"priority":"high"}'
end
"""
_CREATE = f"""{_HEAD}
function request()
  next = next + 1
  return wrk.format("POST", "/api/v1/todos", nil, body())
end
"""
_CHANGE = f"""{_HEAD}
function request()
  next = next + 1
  return wrk.format("PUT", "/api/v1/todos/" .. ids[next % #ids + 1], nil, body())
end
"""
_DELETE = f"""{_HEAD}
function request()
  next = next + 1
  return wrk.format("DELETE", "/api/v1/todos/" .. ids[next])
end
"""
WRITES = {
    "create, 1 connection": Writes(script=_CREATE, connections=1, replicas=1),
    "create, 32 connections": Writes(script=_CREATE, connections=32, replicas=2),
    "change, 32 connections": Writes(script=_CHANGE, connections=32, replicas=2),
    "delete, 32 connections": Writes(script=_DELETE, connections=32, replicas=2, is_used_up=True),
}
SEED = (
    "INSERT INTO todos (id, title, description, state, priority, tags, version, created_at, "
    "updated_at) SELECT gen_random_uuid(), 'seed', 'What has to be done.', 'open', 1, '{home}', 1, "
    "now(), now() FROM generate_series(1, $1) RETURNING id"
)
# More than anybody deletes in a second.
DELETED_A_SECOND = 6000


def write(
    program: str, servers: list[Server], what: Writes, ids: list[str], seconds: int
) -> dict[str, float]:
    """Load all replicas at once with a kind of change; rates add up, the worst p99 counts."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as threads:
        script = Path(folder, "script.lua")
        script.write_text(what.script)
        running = []
        for number, server in enumerate(servers):
            own = Path(folder, f"ids{number}")
            own.write_text("".join(f"{one}\n" for one in ids[number :: len(servers)]))
            connections = what.connections // len(servers)
            more = ["-s", str(script), server.url, "--", str(own)]
            running.append(threads.submit(wrk, program, server, more, seconds, connections))
        found = [one.result() for one in running]
    return {
        "rate": sum(one["rate"] for one in found),
        "p50": statistics.mean(one["p50"] for one in found),
        "p99": max(one["p99"] for one in found),
        "cpu": statistics.mean(one["cpu"] for one in found),
    }


async def seeded(url: str, count: int) -> list[str]:
    """The ids of so many new todos; those of the last time are gone."""
    connection = await asyncpg.connect(url)
    await connection.execute("DELETE FROM todos WHERE title = 'seed'")
    rows = await connection.fetch(SEED, count)
    await connection.close()
    return [str(row["id"]) for row in rows]


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


def wrk(
    program: str, server: Server, what: list[str], seconds: int, connections: int
) -> dict[str, float]:
    """Load a server.

    Args:
        program: the path of wrk.
        server: whose processor time is looked at.
        what: the URL, or more of wrk's arguments.
        seconds: for how long.
        connections: how many at once.

    Returns:
        Requests a second; the median and the 99th percentile, in milliseconds; and the server's
        processor time for a request, in microseconds, which depends less on a noisy neighbour.
    """
    before = server.processor_seconds()
    command = [
        program,
        "--latency",
        "--timeout",
        "10s",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        *what,
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"requests failed:\n{said}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if rate is None:
        raise SystemExit(f"expected wrk's report, got:\n{said}")
    count = re.search(r"(\d+) requests in", said)
    used = server.processor_seconds() - before
    return {
        "rate": float(rate[1]),
        "p50": _latency(said, "50%"),
        "p99": _latency(said, "99%"),
        "cpu": used / int(count[1]) * 1e6 if count else 0.0,
    }


def _latency(said: str, percentile: str) -> float:
    match = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)\b", said)
    if match is None:
        raise SystemExit(f"expected a line for {percentile}, got:\n{said}")
    return float(match[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[match[2]]


def fill(url: str) -> str:
    """Create todos through the service; the id of the last."""
    todo_id = ""
    with httpx.Client(base_url=url) as client:
        for number in range(TODOS):
            body = {
                "title": f"Todo number {number}",
                "description": "What has to be done, in a sentence or two of usual length.",
                "tags": ["home", f"tag{number % 7}"],
                "priority": ("low", "normal", "high")[number % 3],
            }
            todo_id = client.post("/api/v1/todos", json=body).raise_for_status().json()["id"]
    return todo_id


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
    results = compare(arguments, root)
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
