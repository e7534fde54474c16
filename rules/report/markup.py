"""Pieces of HTML: text in them is escaped, and what people read as sizes is written in one way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

# Columns of words that are never broken, and of names, which are broken at dashes; the words of
# others are broken anywhere where a screen is narrow.
_CLASSES = {
    **dict.fromkeys(
        ("Compressed", "Unpacked", "Size", "Severity", "Old size", "New size", "Difference"),
        ' class="short"',
    ),
    "Package": ' class="name"',
}


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


@dataclass(frozen=True)
class Cell:
    """A cell that has more below its text: what is long, and needs the width of the cell."""

    text: str
    more: str
    is_code: bool = False

    def __str__(self) -> str:
        more = code(self.more) if self.is_code else escape(self.more)
        return f"{escape(self.text)}<div>{more}</div>" if self.more else escape(self.text)


def table(titles: Sequence[str], rows: Iterable[Sequence[str | Cell]]) -> str:
    """Rows of texts below their titles."""
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in titles)
    classes = [_CLASSES.get(each, "") for each in titles]
    body = "".join(
        f"<tr>{''.join(_cell(*each) for each in zip(classes, row, strict=True))}</tr>\n"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"


def _cell(kind: str, value: str | Cell) -> str:
    return f"<td{kind}>{value if isinstance(value, Cell) else escape(value)}</td>"


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """What is so, by what it is: a table whose rows have titles."""
    body = "".join(
        f'<tr><th scope="row">{escape(title)}</th><td>{escape(text)}</td></tr>\n'
        for title, text in rows
    )
    return f"<table><tbody>{body}</tbody></table>"
