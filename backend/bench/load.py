"""Load for servers of the todo API, by wrk, and the rows that it needs."""

import os
import re
import statistics
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx

TODOS = 500


class LoadError(Exception):
    """wrk said what was not expected of it, or a server refused; the text has what was said."""


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

    Raises:
        LoadError: a request failed.
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
        raise LoadError(f"requests failed:\n{said}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if rate is None:
        raise LoadError(f"expected wrk's report, got:\n{said}")
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
        raise LoadError(f"expected a line for {percentile}, got:\n{said}")
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
