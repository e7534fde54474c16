"""A program does one action after another, and what one does wrong is no other's concern."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from rules.layers import worker


def program(arguments: Sequence[str]) -> int:
    """Says what it is told, and does as it says."""
    print(*arguments)
    match arguments:
        case ["raise", *_]:
            raise ValueError("on purpose")
        case ["exit", *_]:
            print("usage", file=sys.stderr)
            raise SystemExit(2)
        case ["reason", *_]:
            raise SystemExit("because")
        case ["fail", *_]:
            print("wrong", file=sys.stderr)
            return 1
    return 0


def answers(*requests: dict[str, Any]) -> list[dict[str, Any]]:
    lines = (json.dumps(request) + "\n" for request in requests)
    return [json.loads(line) for line in worker.responses(program, lines)]


def test_each_request_is_answered_in_turn() -> None:
    assert answers(
        {"arguments": ["a", "b"], "requestId": 3, "inputs": [{"path": "x", "digest": "eA=="}]},
        {"arguments": ["c"]},
        {},
    ) == [
        {"requestId": 3, "exitCode": 0, "output": "a b\n"},
        {"requestId": 0, "exitCode": 0, "output": "c\n"},
        {"requestId": 0, "exitCode": 0, "output": "\n"},
    ]


@pytest.mark.parametrize(
    ("word", "code", "said"),
    [
        ("fail", 1, "wrong"),
        ("exit", 2, "usage"),
        ("reason", 1, "because"),
        ("raise", 1, "ValueError: on purpose"),
    ],
)
def test_an_action_that_fails_says_why_and_the_next_one_is_done(
    word: str, code: int, said: str
) -> None:
    failed, after = answers({"arguments": [word]}, {"arguments": ["a"]})
    assert failed["exitCode"] == code
    assert said in failed["output"]
    assert after == {"requestId": 0, "exitCode": 0, "output": "a\n"}


CODE = """
import sys
from rules.layers import worker

def program(arguments):
    print("said", file=sys.stderr)
    print("told", *arguments)
    return 3

sys.exit(worker.main(program))
"""


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", CODE, *arguments],
        env={"PYTHONPATH": ":".join(entry for entry in sys.path if entry)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_worker_writes_answers_alone_each_before_the_next_request() -> None:
    with running("--persistent_worker") as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        for word in ("a", "b"):
            process.stdin.write(json.dumps({"arguments": [word]}) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["output"] == f"said\ntold {word}\n"
        # No more requests.
        process.stdin.close()
        assert process.wait(timeout=60) == 0
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


def test_a_program_that_may_not_stay_does_one_action() -> None:
    with running("a") as process:
        output = process.communicate(timeout=60)
    assert (process.returncode, *output) == (3, "told a\n", "said\n")
