"""Compares the service with a bare FastAPI + asyncpg handler doing the same query.

    python -m backend.bench

Needs wrk and TEST_POSTGRES, an unpacked Debian root with postgresql-17. Both servers run at once on
one PostgreSQL and are loaded in turn, in many short rounds: a machine that is slow for some seconds
takes away from a pair of rounds, not from one server.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tools.dev import postgres
from tools.dev.process import Running, environment, python_command, run

SERVICE = "backend"
LEAST_RATE = 0.85
MOST_P99 = 1.5
TODOS = 500
STARTS = 5


@dataclass(frozen=True)
class Server:
    """A server under load."""

    url: str
    pid: int

    def processor_seconds(self) -> float:
        """Processor time it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wrk(
    program: str, server: Server, path: str, seconds: int, connections: int
) -> dict[str, float]:
    """Load a path of a server.

    Returns:
        Requests a second; the median and the 99th percentile, in milliseconds; and the server's
        processor time for a request, in microseconds, which depends less on a noisy neighbour.
    """
    before = server.processor_seconds()
    url = server.url + path
    command = [
        program,
        "--latency",
        "--timeout",
        "10s",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        url,
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
        database = postgres.Postgres(root, folder)
        stack.callback(database.stop)
        database.start()
        migrated = run(SERVICE, "migrate", DATABASE_URL=database.url)
        if migrated.returncode:
            raise SystemExit(migrated.stderr)
        service = stack.enter_context(
            Running(SERVICE, DATABASE_URL=database.url, **dict(arguments.settings))
        )
        service.wait_ready()
        todo_id = fill(service.url)
        servers = {
            "bare": serve_bare(database.url, stack),
            "service": Server(service.url, service.process.pid),
        }
        results: dict[str, Any] = {}
        for name, path in (
            ("list of 20", "/api/v1/todos"),
            ("one todo", f"/api/v1/todos/{todo_id}"),
        ):
            measured: dict[str, list[dict[str, float]]] = {"bare": [], "service": []}
            for number in range(arguments.rounds + 1):
                print(f"{name}: round {number} of {arguments.rounds}", file=sys.stderr, flush=True)
                # Either goes first as often as the other.
                for who in sorted(servers, reverse=number % 2 == 1):
                    measured[who].append(
                        wrk(
                            arguments.wrk,
                            servers[who],
                            path,
                            arguments.seconds,
                            arguments.connections,
                        )
                    )
            # The first round warms caches and prepared statements.
            kept = {who: rounds[1:] for who, rounds in measured.items()}
            results[name] = {who: _median(rounds) for who, rounds in kept.items()}
            results[name]["ratios"] = _ratios(kept["service"], kept["bare"])
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
    listed = results["list of 20"]["ratios"]
    rate, p99 = listed["rate"][1], listed["p99"][1]
    is_met = rate >= LEAST_RATE and p99 <= MOST_P99
    verdict = "met" if is_met else "missed"
    print(f"targets for the list, rate {LEAST_RATE} and p99 {MOST_P99}: {verdict}")
    return 0 if is_met else 1


if __name__ == "__main__":
    os.environ.setdefault("TEST_TMPDIR", "/tmp")
    sys.exit(main())
