"""Lets a program do one action after another: Bazel's persistent workers, by their JSON protocol.

Most actions of a layer take less time than an interpreter needs to start. Bazel starts a program
with `--persistent_worker` where it may stay, and sends it requests: one JSON object a line, each
with the arguments of one action. Started in another way, the program does one action and ends.

Source: "Creating Persistent Workers" of Bazel's documentation; worker_protocol.proto.
"""

import contextlib
import io
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

# Takes arguments, returns an exit code; says what is wrong on standard error.
Program = Callable[[Sequence[str]], int]

_OPTION = "--persistent_worker"


def main(program: Program) -> int:
    """Does what this process was started for, and returns its exit code."""
    arguments = sys.argv[1:]
    if _OPTION not in arguments:
        return program(arguments)
    # Nobody but the protocol writes to what Bazel reads.
    output, sys.stdout = sys.stdout, sys.stderr
    for response in responses(program, sys.stdin):
        output.write(response + "\n")
        output.flush()
    return 0


def responses(program: Program, requests: Iterable[str]) -> Iterator[str]:
    """A line for each line, once what it asks for is done."""
    for line in requests:
        request: dict[str, Any] = json.loads(line)
        code, output = _done(program, request.get("arguments", []))
        yield json.dumps(
            {"requestId": request.get("requestId", 0), "exitCode": code, "output": output}
        )


def _done(program: Program, arguments: Sequence[str]) -> tuple[int, str]:
    """The exit code of one action, and what it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = program(arguments)
        except SystemExit as end:
            # argparse, of arguments that it does not know; or a reason (sys.exit).
            code = end.code if isinstance(end.code, int) else 1
            if isinstance(end.code, str):
                print(end.code)
        except Exception:  # noqa: BLE001  (an action's end is not the worker's)
            traceback.print_exc()
            code = 1
    return code, said.getvalue()
