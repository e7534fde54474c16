"""Makes deploy/seccomp.json, the service's seccomp profile, from traces and reasons.

    tools/bazel run //deploy:seccomp -- [TRACE ...]

TRACE is what `strace -f --decode-pids=pidns -o TRACE` wrote of a container test; docs/security.md
says how to get one. Calls that the service made there are added to those of earlier traces, in
deploy/seccomp.toml; what no trace shows and the service may yet need is listed there by hand, with
the reason. Without TRACE the profile is made of that file as it is.
"""

import argparse
import json
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from deploy import definition

# A profile that allows more protects little more than a runtime's own.
MOST = 120

_CALL = re.compile(r"(?P<pid>\d+) +(?:<\.\.\. )?(?P<name>[a-z_][a-z0-9_]*)(?:\(| resumed)")
_CHILD = re.compile(r"= \d+ /\* (?P<pid>\d+) in strace's PID NS \*/$|\) = (?P<same>\d+)$")
_FORKS = frozenset({"clone", "clone3", "fork", "vfork"})
_ENDS = re.compile(r"(?P<pid>\d+) \+\+\+ ")


class ProfileError(Exception):
    """The profile cannot be made; the text says what was expected and what came."""


def traced(lines: Iterable[str], module: str) -> set[str]:
    """The calls that the service's processes made after they became the service, `-m MODULE`.

    Threads and children count; the runtime before and the tests around do not.
    """
    start = re.compile(rf'execve\("/usr/bin/python[0-9.]+", \[".+", "-m", "{re.escape(module)}"')
    ours: set[str] = set()
    calls: set[str] = set()
    for line in lines:
        if ended := _ENDS.match(line):
            # The kernel gives its number to another process some day.
            ours.discard(ended["pid"])
            continue
        found = _CALL.match(line)
        if not found:
            continue
        pid, name = found["pid"], found["name"]
        if start.search(line):
            ours.add(pid)
        if pid not in ours:
            continue
        calls.add(name)
        if name in _FORKS and (child := _CHILD.search(line.rstrip())):
            ours.add(child["pid"] or child["same"])
    return calls


def profile(groups: Mapping[str, Mapping[str, object]]) -> str:
    """The profile's text: every call of every group, once; raises `ProfileError`."""
    names: set[str] = set()
    for title, group in groups.items():
        if title != "refused":
            names |= set(_traced(group)) if "traced" in group else group.keys()
    if both := sorted(names & groups.get("refused", {}).keys()):
        raise ProfileError(f"expected calls to be allowed or refused, got both for {both}")
    if len(names) > MOST:
        raise ProfileError(f"expected at most {MOST} calls, got {len(names)}")
    content = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [{"names": sorted(names), "action": "SCMP_ACT_ALLOW"}],
    }
    return json.dumps(content, indent=2) + "\n"


def _traced(group: Mapping[str, object]) -> list[str]:
    names = group["traced"]
    if not isinstance(names, list):
        raise ProfileError(f"expected a list of calls, got {names!r}")
    return names


def extended(text: str, more: set[str]) -> str:
    """The text of seccomp.toml with more calls in its list of traced ones, less the refused."""
    groups = tomllib.loads(text)
    names = (set(_traced(groups["service"])) | more) - groups.get("refused", {}).keys()
    lines = "".join(f'    "{name}",\n' for name in sorted(names))
    made, count = re.subn(
        r"^traced = \[\n.*?^\]$", f"traced = [\n{lines}]", text, flags=re.MULTILINE | re.DOTALL
    )
    if count != 1:
        raise ProfileError(f"expected one list `traced`, got {count}")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the files of the repository; returns 1, having written none, for what is wrong."""
    parser = argparse.ArgumentParser(
        prog="seccomp",
        description="Makes deploy/seccomp.json of deploy/seccomp.toml, and of traces if there are.",
    )
    parser.add_argument(
        "trace",
        nargs="*",
        type=Path,
        help="what `strace -f --decode-pids=pidns -o TRACE` wrote of a container test",
    )
    parser.add_argument("--service", type=Path, required=True, help="definition of the service")
    options = parser.parse_args(arguments)
    traces, module = options.trace, definition.read(options.service)["module"]
    folder = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."), "deploy")
    source = folder / "seccomp.toml"
    more: set[str] = set()
    working = Path(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
    try:
        for trace in traces:
            with (working / trace).open(errors="replace") as lines:
                found = traced(lines, module)
            if not found:
                raise ProfileError(f"{trace}: expected a trace in which `-m {module}` starts")
            more |= found
        before = source.read_text()
        text = extended(before, more)
        made = profile(tomllib.loads(text))
    except (OSError, ProfileError) as error:
        print(f"seccomp: {error}", file=sys.stderr)
        return 1
    source.write_text(text)
    (folder / "seccomp.json").write_text(made)
    old, new = (set(_traced(tomllib.loads(one)["service"])) for one in (before, text))
    print(f"deploy/seccomp.json is written; new calls: {', '.join(sorted(new - old)) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
