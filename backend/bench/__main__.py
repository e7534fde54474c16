"""Compares the service with bare FastAPI + asyncpg handlers doing the same queries.

    python -m backend.bench
    python -m backend.bench --only tracing

Needs wrk and TEST_POSTGRES, an unpacked Debian root with postgresql-17. The servers run at once on
one PostgreSQL, which keeps what it commits, and are loaded in turn, in many short rounds: a machine
that is slow for some seconds takes away from a pair of rounds, not from one server.

Of traces, services that differ in their settings alone are compared: without traces, which is the
peer; the same once more, which shows how much chance there is in the ratios; and with traces, of
which one in a hundred is recorded and sent to a collector here.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from backend.bench.load import TODOS, WRITES, LoadError, Server, Writes, fill, seeded, write, wrk
from tools.dev import postgres
from tools.dev.process import Running, environment, python_command, run

SERVICE = "backend"
LEAST_RATE = 0.85
MOST_P99 = 1.5
# Of the rate without traces, what is left with them, of which this share is recorded.
LEAST_TRACED_RATE = 0.9
SHARE = 0.01
UNTRACED = "without traces"
TRACED = "traces, 1 %"
# A request that is always recorded; its span is sent within seconds, with the next batch.
RECORDED = f"00-{'1' * 32}-{'1' * 16}-01"
SPAN_SECONDS = 30
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

        def load(who: str, what: Writes = what) -> dict[str, float]:
            wanted = DELETED_A_SECOND * arguments.seconds if what.is_used_up else TODOS
            ids = asyncio.run(seeded(url, wanted))
            replicas = servers[who][: what.replicas]
            return write(arguments.wrk, replicas, what, ids, arguments.seconds)

        results[name] = in_turn(name, list(servers), arguments.rounds, load)
    return results


def compare_reads(
    arguments: argparse.Namespace, todo_id: str, servers: dict[str, Server]
) -> dict[str, Any]:
    """Each query, in turn on all servers."""
    results: dict[str, Any] = {}
    for name, path in (("list of 20", "/api/v1/todos"), ("one todo", f"/api/v1/todos/{todo_id}")):

        def load(who: str, path: str = path) -> dict[str, float]:
            return wrk(
                arguments.wrk,
                servers[who],
                [servers[who].url + path],
                arguments.seconds,
                arguments.connections,
            )

        results[name] = in_turn(name, list(servers), arguments.rounds, load)
    return results


def in_turn(
    name: str, servers: list[str], rounds: int, load: Callable[[str], dict[str, float]]
) -> dict[str, Any]:
    """Load servers in turn, each of them first as often as the others.

    Args:
        name: of what is done, for the progress.
        servers: the peer, then who is compared with it.
        rounds: how many; one more, before them, warms caches and prepared statements.
        load: loads one of them and returns its figures.

    Returns:
        By server the medians of its figures; and as `ratios`, by server, the quartiles of its
        figures divided by the peer's of the same round.
    """
    measured: dict[str, list[dict[str, float]]] = {who: [] for who in servers}
    for number in range(rounds + 1):
        print(f"{name}: round {number} of {rounds}", file=sys.stderr, flush=True)
        first = number % len(servers)
        for who in servers[first:] + servers[:first]:
            measured[who].append(load(who))
    kept = {who: figures[1:] for who, figures in measured.items()}
    peer, *others = servers
    ratios = {who: _ratios(kept[who], kept[peer]) for who in others}
    return {**{who: _median(figures) for who, figures in kept.items()}, "ratios": ratios}


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


def starts(variants: Mapping[str, Mapping[str, str]], times: int) -> dict[str, dict[str, float]]:
    """Start the service again and again on a migrated database, as each variant in turn.

    Args:
        variants: settings by the variant's name.
        times: how often each is started.

    Returns:
        By variant the medians of the time from the process' start to readiness (`start`, in
        milliseconds), and of its resident memory after a hundred requests (`resident`, in MB).
    """
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    for _ in range(times):
        for name, settings in variants.items():
            began = time.perf_counter()
            with Running(SERVICE, **settings) as service:
                service.wait_ready()
                milliseconds = (time.perf_counter() - began) * 1000
                with httpx.Client(base_url=service.url) as client:
                    for _ in range(100):
                        client.get("/api/v1/todos").raise_for_status()
                measured[name].append({"start": milliseconds, "resident": service.resident / 1e6})
    return {name: _median(figures) for name, figures in measured.items()}


class Collector(ThreadingHTTPServer):
    """Takes spans, on a free port of 127.0.0.1, and looks at none of them.

    Attributes:
        has_some: set once there were any.
        url: its base URL.
    """

    def __init__(self, stack: ExitStack) -> None:
        """Serve in this process, which only waits for wrk, until the stack is closed."""
        super().__init__(("127.0.0.1", 0), _Spans)
        self.has_some = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"
        thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        thread.start()
        stack.callback(self.server_close)
        stack.callback(thread.join)
        stack.callback(self.shutdown)


class _Spans(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.has_some.set()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def serve(settings: Mapping[str, str], stack: ExitStack) -> Server:
    """Start the service."""
    service = stack.enter_context(Running(SERVICE, **settings))
    service.wait_ready()
    return Server(service.url, service.process.pid)


def compare(arguments: argparse.Namespace, root: Path) -> dict[str, Any]:
    """Measure what was asked for; figures as `in_turn` has them, and those of `starts`."""
    with ExitStack() as stack:
        folder = postgres.new_folder()
        stack.callback(postgres.remove, folder)
        database = postgres.Postgres(
            root, folder, settings={**postgres.DURABLE, "max_connections": "100"}
        )
        stack.callback(database.stop)
        database.start()
        migrated = run(SERVICE, "migrate", DATABASE_URL=database.url)
        if migrated.returncode:
            raise SystemExit(migrated.stderr)
        variables = {"DATABASE_URL": database.url, **dict(arguments.settings)}
        if "tracing" in arguments.only:
            return compare_tracing(arguments, variables, stack)
        services = [serve(variables, stack) for _ in range(REPLICAS)]
        todo_id = fill(services[0].url)
        peers = [serve_bare(database.url, stack) for _ in range(REPLICAS)]
        results: dict[str, Any] = {}
        if "reads" in arguments.only:
            both = {"bare": peers[0], "service": services[0]}
            results |= compare_reads(arguments, todo_id, both)
        if "writes" in arguments.only:
            all_of_both = {"bare": peers, "service": services}
            results |= compare_writes(arguments, database.url, all_of_both)
        results["starts"] = starts({"service": variables}, arguments.starts)
        return results


def compare_tracing(
    arguments: argparse.Namespace, variables: Mapping[str, str], stack: ExitStack
) -> dict[str, Any]:
    """Reads and starts of services without traces, and with them."""
    collector = Collector(stack)
    traced = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_TRACES_SAMPLER_ARG": str(SHARE),
    }
    variants = {
        UNTRACED: variables,
        f"{UNTRACED} again": variables,
        TRACED: {**variables, **traced},
    }
    servers = {name: serve(settings, stack) for name, settings in variants.items()}
    httpx.get(f"{servers[TRACED].url}/api/v1/todos", headers={"traceparent": RECORDED})
    if not collector.has_some.wait(SPAN_SECONDS):
        raise LoadError(f"no span came within {SPAN_SECONDS} seconds: nothing to be compared")
    todo_id = fill(servers[UNTRACED].url)
    return {
        **compare_reads(arguments, todo_id, servers),
        "starts": starts(variants, arguments.starts),
    }


def _ratios(
    servers: list[dict[str, float]], peers: list[dict[str, float]]
) -> dict[str, list[float]]:
    """The quartiles of the ratios of the rounds that ran one after the other."""
    found: dict[str, list[float]] = {}
    for name in ("rate", "p99", "cpu"):
        # A round may be too short for the kernel to have counted any processor time.
        pairs = [
            mine[name] / peer[name] for mine, peer in zip(servers, peers, strict=True) if peer[name]
        ]
        if len(pairs) > 1:
            found[name] = statistics.quantiles(pairs, n=4)
    return found


def _median(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def report(results: dict[str, Any]) -> list[str]:
    """The figures as a table, and a line for each ratio."""
    found = {name: figures for name, figures in results.items() if name != "starts"}
    lines = ["| Query | Server | requests/s | p50 ms | p99 ms | CPU us |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for name, servers in found.items():
        for who, figures in servers.items():
            if who != "ratios":
                lines.append(
                    f"| {name} | {who} | {figures['rate']:.0f} | {figures['p50']:.2f} "
                    f"| {figures['p99']:.2f} | {figures['cpu']:.0f} |"
                )
    lines.append("")
    for who, figures in results["starts"].items():
        start, resident = figures["start"], figures["resident"]
        lines.append(f"{who}: start to ready {start:.0f} ms; resident {resident:.0f} MB")
    for name, servers in found.items():
        for who, ratios in servers["ratios"].items():
            for figure, (low, middle, high) in ratios.items():
                ratio = f"{middle:.2f} x the peer's; middle half {low:.2f}-{high:.2f}"
                lines.append(f"{name}, {who}: {figure} {ratio}")
    return lines


def missed(results: dict[str, Any]) -> list[str]:
    """A line for each target that the medians of the ratios miss."""
    lines = []
    for name, servers in results.items():
        ratios = servers.get("ratios", {})
        if TRACED in ratios:
            rate = ratios[TRACED]["rate"][1]
            if rate < LEAST_TRACED_RATE:
                lines.append(f"{name}, {TRACED}: rate {rate:.2f}; target {LEAST_TRACED_RATE}")
        elif name == "list of 20":
            rate, p99 = ratios["service"]["rate"][1], ratios["service"]["p99"][1]
            if rate < LEAST_RATE:
                lines.append(f"{name}: rate {rate:.2f}; target at least {LEAST_RATE}")
            if p99 > MOST_P99:
                lines.append(f"{name}: p99 {p99:.2f}; target at most {MOST_P99}")
    return lines


def main() -> int:
    """Print a table; exit code 1 when a target of the reads is missed."""
    parser = argparse.ArgumentParser(
        prog="tools/bazel run //backend/bench --",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--wrk", default=shutil.which("wrk"), help="the program; by default wrk")
    parser.add_argument("--seconds", type=int, default=2, help="of a round")
    parser.add_argument("--rounds", type=int, default=16, help="that count, one warms up")
    parser.add_argument("--connections", type=int, default=10, help="of wrk, for reads")
    parser.add_argument("--starts", type=int, default=STARTS, help="of each service")
    parser.add_argument("--json", action="store_true", help="print all figures so, too")
    parser.add_argument(
        "--only", choices=("reads", "writes", "tracing"), nargs="*", default=["reads", "writes"]
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
    if "tracing" in arguments.only and len(arguments.only) > 1:
        parser.error("--only tracing stands alone: it compares other servers")
    if arguments.rounds < 2:
        parser.error(f"argument --rounds: got {arguments.rounds}; expected 2 or more")
    if arguments.wrk is None:
        parser.error("wrk is not in PATH. On Debian: apt-get install wrk")
    root = postgres.tree()
    if root is None:
        sys.exit("TEST_POSTGRES is unset: it names an unpacked Debian root with postgresql-17")
    try:
        results = compare(arguments, root)
    except LoadError as error:
        sys.exit(str(error))
    if arguments.json:
        print(json.dumps(results, indent=2))
    print("\n".join(report(results)))
    lines = missed(results)
    if arguments.only != ["writes"]:
        print("\n".join(f"missed: {line}" for line in lines) or "targets of the reads: met")
    return 1 if lines else 0


if __name__ == "__main__":
    os.environ.setdefault("TEST_TMPDIR", "/tmp")
    sys.exit(main())
