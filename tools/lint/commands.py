"""Reads the commands of the pages: what they name, and what they give to programs."""

import re
import shlex
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Command:
    """A call of tools/bazel on a page.

    Attributes:
        page: the page's file name.
        verb: build, run or test.
        labels: what it names, patterns left out.
        arguments: of the program that is run.
    """

    page: str
    verb: str
    labels: tuple[str, ...]
    arguments: tuple[str, ...]


def commands(page: str, text: str) -> list[Command]:
    """The commands of a text, in code blocks and between backquotes.

    >>> commands("a", "Type `tools/bazel run //b:c -- X [--d E] > f` to begin.")
    [Command(page='a', verb='run', labels=('//b:c',), arguments=('X', '--d', 'E'))]
    """
    joined = text.replace("\\\n", " ")
    lines = re.findall(r"tools/bazel ((?:[^`\n]* )?(?:build|run|test) [^`\n]+)", joined)
    return [_read(page, line) for line in lines]


def _read(page: str, line: str) -> Command:
    # What follows is the shell's, or the next cell of a table.
    words = shlex.split(re.split(r" (?:>|&&|\||#)(?: |$)", line)[0])
    at = words.index("--") if "--" in words else len(words)
    call, arguments = words[:at], words[at + 1 :]
    labels = (word for word in call if word.startswith("//"))
    return Command(
        page,
        verb=next(word for word in call if word in {"build", "run", "test"}),
        labels=tuple(label for label in labels if not label.endswith(("...", ":all"))),
        # Brackets are around what may be left out.
        arguments=tuple(word.strip("[]") for word in arguments),
    )
