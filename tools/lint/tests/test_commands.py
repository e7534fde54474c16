"""What the commands of the pages name is there."""

import ast
import os
import re
from pathlib import Path

import pytest

from tools.lint.commands import Command, commands

SOURCES = Path(os.environ["SOURCES"]).parent
LISTED = "docs/tests/BUILD.bazel"
PAGES = sorted([*SOURCES.glob("*.md"), *SOURCES.glob("docs/*.md")])
FOUND = [
    command
    for page in PAGES
    for command in commands(page.relative_to(SOURCES).as_posix(), page.read_text())
]
# A target whose name is its file's, and what is in the names of some tests of it.
CHOSEN = [
    found
    for page in PAGES
    for found in re.findall(
        r"tools/bazel test (//\S+) [^`\n]*--test_filter=(\w+)", page.read_text()
    )
]
# What is there only once somebody has made it, or is fetched only by who runs it.
ELSEWHERE = {
    "//clock:index": "the example of docs/your-service.md",
    "//clock:load": "the same",
    "//clock:manifests": "the same",
    "//tests/remote": "no part of //...: a build farm of more than all of it",
}


def listed() -> dict[str, set[str]]:
    """The lists in the BUILD file of the test that builds them all, by name."""
    tree = ast.parse((SOURCES / f"{LISTED}.starlark").read_text())
    return {
        ast.unparse(statement.targets[0]): set(ast.literal_eval(statement.value))
        for statement in tree.body
        if isinstance(statement, ast.Assign)
    }


def named(*verbs: str) -> set[str]:
    """What the pages name in commands of these kinds."""
    return {label for command in FOUND if command.verb in verbs for label in command.labels}


def pages_with(label: str) -> list[str]:
    """The pages that have a command name it."""
    return sorted({command.page for command in FOUND if label in command.labels})


def complaint(labels: set[str]) -> str:
    """Each label, and the pages to mend where it is gone."""
    return "\n".join(f"{label}: {', '.join(pages_with(label))}" for label in sorted(labels))


def test_what_is_built_or_run_is_listed() -> None:
    known = {*listed()["PROGRAMS"], *listed()["TARGETS"], *ELSEWHERE}
    there = named("build", "run")
    others = named("build") - known
    assert not others, (
        f"pages have them built: add them to PROGRAMS or TARGETS in {LISTED}, or mend the pages "
        f"where they are gone\n{complaint(others)}"
    )
    assert known - there == set(), f"no page names them: take them out of {LISTED}, or of this test"


def test_what_is_run_is_a_program() -> None:
    others = named("run") - listed()["PROGRAMS"] - set(ELSEWHERE)
    assert not others, (
        f"pages have them run: add them to PROGRAMS in {LISTED}, or mend the pages where they are "
        f"gone\n{complaint(others)}"
    )


@pytest.mark.parametrize("label", sorted(named("test")))
def test_what_is_tested_is_named_in_its_package(label: str) -> None:
    package, _, name = label.removeprefix("//").partition(":")
    file = SOURCES / package / "BUILD.bazel.starlark"
    pages = pages_with(label)

    assert file.is_file(), f"{package} is gone, and these pages have {label} tested: {pages}"
    assert f'"{name}"' in file.read_text(), f"{label} is gone: {pages} have it tested"


@pytest.mark.parametrize(("label", "chosen"), CHOSEN)
def test_a_filter_chooses_tests(label: str, chosen: str) -> None:
    file = SOURCES / f"{label.removeprefix('//').replace(':', '/')}.py"
    pages = pages_with(label)
    assert file.is_file(), f"{label} is gone, and these pages have tests of it chosen: {pages}"
    names = re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
    assert any(chosen in name for name in names), f"--test_filter={chosen}: no test of {file.name}"


def test_a_command_is_read_wherever_it_stands() -> None:
    text = (
        "Type `tools/bazel run //b:c -- X [--d E] > f` to begin, or\n\n"
        "    BAZEL_FROM=debian tools/bazel --g h test //i/... \\\n        //j && rm k\n\n"
        "| `tools/bazel build //l:all` | not //m |\n"
    )
    assert commands("a", text) == [
        Command("a", "run", ("//b:c",), ("X", "--d", "E")),
        Command("a", "test", ("//j",), ()),
        Command("a", "build", (), ()),
    ]
