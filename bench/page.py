"""Parts of docs pages that programs write; each stands between two comments."""

from pathlib import Path

from bench.commands import BenchError


def insert(page: str, name: str, text: str) -> str:
    """A page with another text in its part of a name.

    Raises:
        BenchError: the page has no such part, or two.
    """
    begin, end = marks(name)
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise BenchError(f"the page has to have these two lines once, in this order: {begin} {end}")
    head, _, rest = page.partition(begin)
    return f"{head}{begin}\n\n{text.strip()}\n\n{end}{rest.partition(end)[2]}"


def marks(name: str) -> tuple[str, str]:
    """The lines that a part stands between (comments of CommonMark's HTML blocks)."""
    return f"<!-- {name}: written by a program -->", f"<!-- {name}: end -->"


def write(file: Path, text: str) -> None:
    """Writes a file beside its place and renames it: it is whole or as it was."""
    beside = file.with_name(f".{file.name}.partial")
    beside.write_text(text)
    beside.replace(file)
