"""The report as people have it: in a browser, on a telephone, a desk and paper, by keyboard alone.

One page has everything that a page can have: advisories, and what changed.
"""

import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rules.report.tests import samples
from tools.browser.browser import PAPER, Browser, Page

program = importlib.import_module("rules.report.__main__")

# Of a telephone lying on its side and of a desk, in CSS pixels.
WIDTHS = (500, 1200)
# WCAG 2.2, success criterion 1.4.3.
CONTRAST = 4.5
_LUMINANCE = """
color => {
  const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map(each => each / 255)
    .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
"""


@pytest.fixture(scope="module")
def report() -> Path:
    """The report of the service's image, as it was built."""
    return Path(os.environ["REPORT"])


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a small image with advisories, beside an older image."""
    folder = tmp_path_factory.mktemp("report")
    advisory = {
        "id": "CVE-2026-0001",
        "modified": "2026-11-26T00:00:00Z",
        "summary": "A long summary, " * 20,
        "affected": [{"package": {"ecosystem": "PyPI", "name": "two"}, "versions": ["2.1"]}],
    }
    (folder / "osv.json").write_text(json.dumps(advisory))
    old = samples.build(folder / "old")
    long = {f"/app/{'deep/' * 30}new.py": ""}
    new = samples.build(folder / "new", samples.Sample(wheel="2.1", more=long))
    code = program.main(
        [
            *new.arguments,
            f"--output={folder / 'page.html'}",
            f"--against={old.index}",
            f"--advisories={folder / 'osv.json'}",
            "--now=2026-11-27T00:00:00+00:00",
        ]
    )
    assert code == program.WRITTEN
    return folder / "page.html"


@pytest.fixture(scope="module", params=["report", "full"])
def opened(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Page]:
    """Either of them."""
    file: Path = request.getfixturevalue(request.param)
    with chromium.open(file, WIDTHS[1]) as shown:
        yield shown


@pytest.fixture
def page(opened: Page) -> Page:
    """Either of them, all lists folded, on a desk in light colours."""
    opened.look(WIDTHS[1])
    opened.evaluate("for (const each of document.querySelectorAll('details')) each.open = false")
    return opened


def open_all(page: Page) -> None:
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")


def contrast(page: Page) -> float:
    """Of the text against its ground."""
    one, other = (
        page.evaluate(f"({_LUMINANCE})(getComputedStyle(document.body)['{name}'])")
        for name in ("color", "background-color")
    )
    return float((max(one, other) + 0.05) / (min(one, other) + 0.05))


def ground(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window_folded_or_not(page: Page, width: int) -> None:
    page.look(width)

    assert page.wider() == []
    open_all(page)
    assert page.wider() == []


def test_every_list_opens_by_keyboard_alone_and_what_has_the_focus_is_seen(
    full: Path, chromium: Browser
) -> None:
    # The service's own report has lists of the same kinds, but ten times as many.
    with chromium.open(full, WIDTHS[1]) as page:
        page.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        count = page.evaluate("document.querySelectorAll('details').length")
        assert count > 0

        # A list that opens shows others, which come next.
        for _ in range(2 * count + 50):
            page.press("Tab")
            focused = page.evaluate("document.activeElement.localName")
            if focused == "summary":
                page.press("Enter")
            elif focused == "body":
                break

        assert page.evaluate("document.querySelectorAll('details:not([open])').length") == 0


def test_light_and_dark_differ_and_can_both_be_read(page: Page) -> None:
    light = ground(page)
    assert contrast(page) >= CONTRAST

    page.look(WIDTHS[1], dark=True)

    assert ground(page) != light
    assert contrast(page) >= CONTRAST


def test_on_paper_it_is_dark_on_white_and_nothing_is_cut(page: Page) -> None:
    page.look(PAPER, dark=True, media="print")

    assert page.pdf().startswith(b"%PDF-")
    assert ground(page) == "rgb(255, 255, 255)"
    assert contrast(page) >= CONTRAST
    open_all(page)
    assert page.wider() == []


def test_it_asks_for_nothing_but_itself_and_nobody_complains(page: Page) -> None:
    page.look(WIDTHS[0], dark=True)
    open_all(page)

    assert len(page.requests) == 1
    assert page.requests[0].startswith("file:")
    assert page.complaints == []


@pytest.mark.parametrize("width", WIDTHS)
def test_a_screen_reader_is_told_what_the_map_is_once_for_each_cpu(page: Page, width: int) -> None:
    page.look(width)

    names = [name for role, name in page.accessible() if role in {"image", "img"}]

    assert [name.partition(",")[0] for name in names] == [
        "Unpacked size of each package of linux/amd64",
        "Unpacked size of each package of linux/arm64",
    ]


def test_a_screen_reader_finds_sections_by_their_headings(page: Page) -> None:
    found = page.accessible()

    for name in ("linux/amd64", "Known advisories", "How it came to be", "How to verify it"):
        assert ("heading", name) in found
        assert ("region", name) in found


@pytest.mark.parametrize(
    ("which", "width", "dark"),
    [("report", 500, False), ("report", 1200, True), ("full", 500, True), ("full", 1200, False)],
)
def test_pictures_of_it_are_kept_to_be_looked_at(
    which: str,
    width: int,
    dark: bool,
    chromium: Browser,
    pictures: Path,
    request: pytest.FixtureRequest,
) -> None:
    picture = pictures / f"{which}-{width}-{'dark' if dark else 'light'}.png"

    with chromium.open(request.getfixturevalue(which), width, dark=dark) as page:
        page.screenshot(picture)

    assert picture.read_bytes().startswith(b"\x89PNG")
