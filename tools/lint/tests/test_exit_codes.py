"""The list of exit codes in docs/troubleshoot.md has those of the programs, and no more."""

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy import definition

SERVICE = definition.read(Path(os.environ["SERVICE"]))
SOURCES = Path(os.environ["SOURCES"]).parent
PAGE = "docs/troubleshoot.md"
HEADING = "## Exit codes"

# What each program is made of: folders, and files. A library that exits belongs to it too.
PROGRAMS = {
    f"python -m {SERVICE['module']}": (SERVICE["module"].replace(".", "/"), "serving"),
    "tools/bazel": ("tools/bazel.shell", "tools/debian/builder"),
    "//tools:bundle": ("tools/debian/builder/bundler.py", "tools/signals"),
    "//:dev": ("tools/dev",),
    "//:format": ("tools/lint/formatter.py",),
    "//:requirements.update": ("tools/requirements", "tools/signals"),
    "//rules/debian:update": ("rules/debian", "tools/signals"),
    "//image:diff": ("rules/diff", "tools/signals"),
    "//image:load": ("tools/debian/modules/rules_oci/oci/private/load.py",),
    "//image:push": ("rules/publish", "tools/signals"),
    "//image:report.page": ("rules/report", "tools/signals"),
    "//image:scan": ("rules/scan", "tools/signals"),
    "//image:update": ("rules/update", "tools/signals"),
    "//image:verify": ("rules/verify", "tools/signals"),
}
# What is there runs on its own.
APART = {"tests", "bench"}
ELSEWHERE = {"tools/debian/builder/bundler.py": "//tools:bundle"}

# What a program's end may be called in the list, besides a number.
SIGNAL = "128 + n"
OTHERS = "others"

EXITS = {"SystemExit", "sys.exit", "os._exit"}
type Function = ast.FunctionDef | ast.AsyncFunctionDef


def files(program: str) -> Iterator[Path]:
    """The sources of a program."""
    for name in PROGRAMS[program]:
        place = SOURCES / name
        assert place.exists(), f"{name} is gone: change PROGRAMS of this test"
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            relative = file.relative_to(SOURCES)
            other = ELSEWHERE.get(relative.as_posix(), program)
            if not APART.intersection(relative.parts) and other == program:
                yield file


@dataclass
class Codes:
    """Gathers what the modules of a program can end it with.

    Attributes:
        found: numbers as text, or `SIGNAL` for 128 and a signal's number, or `OTHERS` for what
            another program ended with.
    """

    found: set[str] = field(default_factory=set)
    _constants: dict[str, int] = field(default_factory=dict)
    _functions: dict[str, list[Function]] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def of(self, modules: list[ast.Module]) -> set[str]:
        """The codes of these modules together."""
        for module in modules:
            for statement in module.body:
                self._note_constants(statement)
            for node in ast.walk(module):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    self._functions.setdefault(node.name, []).append(node)
        for module in modules:
            for node in ast.walk(module):
                if isinstance(node, ast.Call):
                    self._note_call(node)
        self._follow("main")
        return self.found

    def _note_constants(self, statement: ast.stmt) -> None:
        if not isinstance(statement, ast.Assign):
            return
        target = statement.targets[0]
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        value = statement.value
        values = value.elts if isinstance(value, ast.Tuple) else [value]
        for name, each in zip(names, values, strict=False):
            number = each.value if isinstance(each, ast.Constant) else None
            if isinstance(name, ast.Name) and type(number) is int:
                self._constants[name.id] = number

    def _note_call(self, call: ast.Call) -> None:
        name = ast.unparse(call.func)
        if name.endswith("parse_args"):
            # What argparse ends with, for a word that it does not know.
            self.found.add("2")
        if name in EXITS and call.args:
            argument = call.args[0]
            # `os._exit(code)` ends a worker, not the program; what a call returns is followed.
            if not isinstance(argument, ast.Name | ast.Call) or name == "SystemExit":
                self._note_value(argument, text_is="1")

    def _follow(self, function: str) -> None:
        """Note what a function that gives the exit code returns."""
        if function in self._seen:
            return
        self._seen.add(function)
        for each in self._functions.get(function, []):
            if each.returns is None or ast.unparse(each.returns) != "int":
                continue
            for node in ast.walk(each):
                if isinstance(node, ast.Return) and node.value is not None:
                    self._note_value(node.value, text_is=OTHERS)

    def _note_value(self, value: ast.expr, text_is: str) -> None:
        match value:
            case ast.Constant(value=int(number)):
                self.found.add(str(number))
            case ast.Constant() | ast.JoinedStr():
                self.found.add(text_is)
            case ast.Name(id=name) if name in self._constants:
                self.found.add(str(self._constants[name]))
            case ast.IfExp(body=body, orelse=otherwise):
                self._note_value(body, text_is)
                self._note_value(otherwise, text_is)
            case ast.BoolOp(values=values):
                for each in values:
                    self._note_value(each, text_is)
            case ast.BinOp(left=ast.Constant(value=128), op=ast.Add()):
                self.found.add(SIGNAL)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if (
                name in self._functions
            ):
                self._follow(name)
            case _:
                self.found.add(OTHERS)


def in_code(program: str) -> set[str]:
    """What a program can end with."""
    found: set[str] = set()
    modules = []
    for file in files(program):
        if file.suffix == ".shell":
            found.update(re.findall(r"^ *exit (\d+)$", file.read_text(), re.MULTILINE))
        else:
            modules.append(ast.parse(file.read_text()))
    return found | Codes().of(modules)


def listed(page: str) -> dict[str, set[str]]:
    """What the list has, by program."""
    _, _, rest = page.partition(f"{HEADING}\n")
    part = rest.partition("\n## ")[0]
    found: dict[str, set[str]] = {}
    for codes, programs in re.findall(r"^\| ([^|]+) \| ([^|]*`[^|]*) \|", part, re.MULTILINE):
        for program in re.findall(r"`([^`]+)`", programs):
            found.setdefault(program, set()).update(codes.split(", "))
    return found


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_list_has_what_the_program_can_end_with(program: str) -> None:
    there = listed((SOURCES / PAGE).read_text()).get(program, set())
    ends = in_code(program)
    assert there == ends, (
        f"{PAGE} lists for {program} {sorted(there)}, its code can end with {sorted(ends)}: add or "
        "take out rows"
    )


def test_the_list_has_no_program_that_this_test_does_not_read() -> None:
    there = set(listed((SOURCES / PAGE).read_text()))
    others = there - set(PROGRAMS)
    assert there == set(PROGRAMS), (
        f"{PAGE} lists {sorted(others)} besides: take the rows out, or add what is there to "
        f"PROGRAMS of this test; it lacks {sorted(set(PROGRAMS) - there)}"
    )


def test_exits_of_every_kind_are_found() -> None:
    source = """
GOOD, BAD = 0, 7
def main(arguments: list[str]) -> int:
    if arguments:
        return other()
    return GOOD if arguments else 4
def other() -> int:
    return BAD or subprocess.run(["x"]).returncode
def count() -> int:
    return 99
def leave(number):
    raise SystemExit(128 + number)
def fail():
    raise SystemExit("a line")
"""
    assert Codes().of([ast.parse(source)]) == {"0", "1", "4", "7", "128 + n", "others"}
