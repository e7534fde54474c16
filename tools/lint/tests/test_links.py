"""Every link from one page of the repository to another leads to a page and a heading of it."""

import os
import re
from pathlib import Path

import pytest

SOURCES = Path(os.environ["SOURCES"]).parent
PAGES = [
    *SOURCES.glob("*.md"),
    *SOURCES.glob("docs/*.md"),
]
# Text in code is no link.
CODE = re.compile(r"^ {4}.*$|```.*?```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)|^\[[^]]+\]: (\S+)", re.MULTILINE)


def anchors(text: str) -> set[str]:
    r"""The names that a forge gives the headings of a page.

    >>> sorted(anchors("# A page\n\n## What `x` is, twice\n## What x is, twice\n"))
    ['a-page', 'what-x-is-twice', 'what-x-is-twice-1']
    """
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        again = 0
        while (f"{name}-{again}" if again else name) in found:
            again += 1
        found.add(f"{name}-{again}" if again else name)
    return found


def dead(page: Path) -> list[str]:
    """The links of a page that lead nowhere, each with the reason."""
    found = []
    for pair in LINK.findall(CODE.sub("", page.read_text())):
        link = pair[0] or pair[1]
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page if not path else Path(os.path.normpath(page.parent / path))
        # Files without an ending are not among the sources that a test sees.
        if target.suffix and not target.exists():
            found.append(f"{link}: there is no {target.relative_to(SOURCES)}")
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text()):
            found.append(f"{link}: {target.relative_to(SOURCES)} has no such heading")
    return found


def name_of(page: Path) -> str:
    return str(page.relative_to(SOURCES))


@pytest.mark.parametrize("page", sorted(PAGES), ids=name_of)
def test_no_link_is_dead(page: Path) -> None:
    assert not dead(page)


def test_dead_links_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "SOURCES", tmp_path)
    page = tmp_path / "a.md"
    page.write_text("# A\n[a](#a) [b](b.md) [c](#c) `[d](d.md)` [e](https://e.example/x.md)\n")
    assert dead(page) == ["b.md: there is no b.md", "#c: a.md has no such heading"]


def test_the_index_names_every_page() -> None:
    index = (SOURCES / "docs/index.md").read_text()
    missing = [
        page.name
        for page in sorted(SOURCES.glob("docs/*.md"))
        if page.name != "index.md" and f"]({page.name}" not in index
    ]
    assert not missing, f"add to docs/index.md: {', '.join(missing)}"
