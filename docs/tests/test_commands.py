"""The programs of the pages' commands take the options that they are given there."""

import functools
import os
import re
import subprocess
from pathlib import Path

import pytest

from tools.lint.commands import commands

PAGES = [Path(name) for name in os.environ["PAGES"].split() if name.endswith(".md")]
PROGRAMS = dict(pair.split("=") for pair in os.environ["PROGRAMS"].split())
GIVEN = sorted(
    {
        (command.labels[0], command.arguments)
        for page in PAGES
        for command in commands(page.name, page.read_text())
        if command.verb == "run" and command.arguments and command.labels[0] in PROGRAMS
    }
)


# Pages name the same programs again and again; what one says of itself stays.
@functools.cache
def help_of(program: str) -> str:
    done = subprocess.run(
        [PROGRAMS[program], "--help"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize(("program", "arguments"), GIVEN, ids=str)
def test_a_program_knows_the_options_that_a_page_gives_it(
    program: str, arguments: tuple[str, ...]
) -> None:
    known = help_of(program)
    expected = [word.partition("=")[0] for word in arguments if word.startswith("-")]
    if "COMMAND" in known:
        expected += arguments[:1]
    for word in expected:
        assert re.search(rf"(^|[\s\[,]){re.escape(word)}\b", known), f"no {word} in:\n{known}"
