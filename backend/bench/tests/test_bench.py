"""The comparison: whom it loads when, what it makes of the figures, and that it runs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.bench import __main__ as bench
from tools.dev.process import environment, python_command

type Refused = Callable[..., str]

REPORT = """\
  Thread Stats   Avg      Stdev     Max   +/- Stdev
  Latency Distribution
     50%    1.00ms
     99%    2.50ms
  1000 requests in 1.00s, 1.00MB read
Requests/sec:   1000.00
"""


def wrk(folder: Path) -> Path:
    """A stand-in that always reports the same."""
    program = folder / "wrk"
    program.write_text(f"#!/bin/sh\ncat << END\n{REPORT}END\n")
    program.chmod(0o755)
    return program


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*python_command(), "-m", "backend.bench", *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )


def figures(rate: float, p99: float = 1.0) -> dict[str, float]:
    return {"rate": rate, "p50": 1.0, "p99": p99, "cpu": 1.0}


def test_each_server_is_first_as_often_as_the_others_and_one_round_does_not_count() -> None:
    asked: list[str] = []
    rates = {"bare": 100.0, "one": 90.0, "other": 50.0}

    def load(who: str) -> dict[str, float]:
        asked.append(who)
        # The first round is that of cold caches.
        return figures(rates[who] if len(asked) > 3 else 1.0)

    result = bench.in_turn("x", list(rates), 3, load)
    assert asked[::3] == ["bare", "one", "other", "bare"]
    assert all(sorted(asked[begin : begin + 3]) == sorted(rates) for begin in range(0, 12, 3))
    assert result["bare"]["rate"] == 100.0
    assert result["ratios"]["one"]["rate"] == pytest.approx([0.9, 0.9, 0.9])
    assert result["ratios"]["other"]["rate"] == pytest.approx([0.5, 0.5, 0.5])
    assert set(result["ratios"]) == {"one", "other"}
    assert set(result["ratios"]["one"]) == {"rate", "p99", "cpu"}


def test_a_figure_that_the_peer_has_none_of_gives_no_ratio() -> None:
    def load(_: str) -> dict[str, float]:
        return {**figures(100.0), "cpu": 0.0}

    result = bench.in_turn("x", ["bare", "one"], 3, load)
    assert set(result["ratios"]["one"]) == {"rate", "p99"}


def ratios(who: str, rate: float, p99: float) -> dict[str, dict[str, dict[str, list[float]]]]:
    return {"ratios": {who: {"rate": [0.0, rate, 9.0], "p99": [0.0, p99, 9.0]}}}


@pytest.mark.parametrize(
    ("name", "who", "rate", "p99", "lines"),
    [
        ("list of 20", "service", 0.85, 1.5, []),
        ("list of 20", "service", 0.84, 1.5, ["list of 20: rate 0.84; target at least 0.85"]),
        ("list of 20", "service", 0.85, 1.6, ["list of 20: p99 1.60; target at most 1.5"]),
        ("one todo", "service", 0.1, 9.0, []),
        ("one todo", bench.TRACED, 0.9, 9.0, []),
        ("one todo", bench.TRACED, 0.89, 1.0, ["one todo, traces, 1 %: rate 0.89; target 0.9"]),
    ],
)
def test_a_target_that_is_missed_is_named(
    name: str, who: str, rate: float, p99: float, lines: list[str]
) -> None:
    starts = {"service": {"start": 800.0, "resident": 85.0}}
    assert bench.missed({name: ratios(who, rate, p99), "starts": starts}) == lines


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Calls it with arguments that it refuses; what it says of them."""

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["bench", *arguments])
        with pytest.raises(SystemExit) as ended:
            bench.main()
        assert ended.value.code == 2
        return capsys.readouterr().err

    return call


def test_without_wrk_it_says_what_to_install(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "wrk is not in PATH. On Debian: apt-get install wrk" in refused()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [(("--only", "tracing", "reads"), "stands alone"), (("--rounds", "1"), "expected 2 or more")],
    ids=["both", "one round"],
)
def test_what_gives_no_comparison_is_refused(
    tmp_path: Path, refused: Refused, arguments: tuple[str, ...], why: str
) -> None:
    assert why in refused("--wrk", str(wrk(tmp_path)), *arguments)


def test_a_service_with_traces_is_compared_with_the_same_without(tmp_path: Path) -> None:
    done = run(
        *("--wrk", str(wrk(tmp_path)), "--only", "tracing", "--rounds", "2", "--starts", "1"),
        TEST_POSTGRES=os.environ["TEST_POSTGRES"],
        TEST_TMPDIR=os.environ["TEST_TMPDIR"],
    )
    assert done.returncode == 0, done.stderr
    for query in ("list of 20", "one todo"):
        for who in (bench.UNTRACED, f"{bench.UNTRACED} again", bench.TRACED):
            assert f"| {query} | {who} | 1000 | 1.00 | 2.50 |" in done.stdout
        assert f"{query}, {bench.TRACED}: rate 1.00 x the peer's" in done.stdout
    assert f"{bench.TRACED}: start to ready " in done.stdout
    assert done.stdout.endswith("targets of the reads: met\n")
