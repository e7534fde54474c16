"""Pieces of HTML: text in them is escaped, and what people read as sizes is written in one way."""

from collections.abc import Iterable, Sequence
from html import escape

# Columns of words that are never broken; others are, where a screen is narrow.
_SHORT = {"Layer", "Compressed", "Unpacked", "Size", "Severity"}


def size(count: int) -> str:
    """A number of bytes for people.

    >>> size(999), size(1_500_000)
    ('999 B', '1.5 MB')
    """
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def signed(count: int) -> str:
    """A difference of two numbers of bytes, for people.

    >>> signed(1_500), signed(-2), signed(0)
    ('+1.5 kB', '-2 B', '0 B')
    """
    sign = "+" if count > 0 else "-" if count < 0 else ""
    return f"{sign}{size(abs(count))}"


def code(text: str) -> str:
    """Text that a machine reads too."""
    return f"<code>{escape(text)}</code>"


def commands(*lines: str) -> str:
    """Lines to type in a shell."""
    return f"<pre>{escape('\n'.join(lines))}</pre>"


def section(identifier: str, title: str, body: Iterable[str]) -> Iterable[str]:
    """A section of the page that a link and a screen reader find by its heading."""
    yield f'<section aria-labelledby="{identifier}">\n<h2 id="{identifier}">{escape(title)}</h2>'
    yield from body
    yield "</section>"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of texts below their titles."""
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in titles)
    classes = [' class="short"' if each in _SHORT else "" for each in titles]
    lines = []
    for row in rows:
        cells = zip(classes, row, strict=True)
        lines.append("".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in cells))
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """What is so, by what it is: a table whose rows have titles."""
    body = "".join(
        f'<tr><th scope="row">{escape(title)}</th><td>{escape(text)}</td></tr>\n'
        for title, text in rows
    )
    return f"<table><tbody>{body}</tbody></table>"
