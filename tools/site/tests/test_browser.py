"""The site as people have it: in a browser, on a telephone and a desk."""

import contextlib
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tools.browser.browser import Browser, Page
from tools.browser.error import BrowserError

SITE = Path(os.environ["SITE"]).absolute()
PAGES = sorted(page.relative_to(SITE).as_posix() for page in SITE.rglob("*.html"))
# In CSS pixels.
TELEPHONE, DESK = 390, 1280
_SECONDS = 20.0
# What has to be moved sideways to be read; tables and blocks of code may, within the page.
_TOO_WIDE = """
[document.documentElement, ...document.querySelectorAll('.page, .main, .content')]
  .filter(each => each.scrollWidth > each.clientWidth + 1)
  .map(each => `${each.localName} ${each.className}: ${each.scrollWidth}`)
"""
# Where the menu is, and whether one of its links is what a finger would meet there.
_MENU = """
(() => {
  const link = document.querySelector('.sidebar-tree a[href*="operate"]');
  link.scrollIntoView({block: 'center'});
  const place = link.getBoundingClientRect();
  const met = document.elementFromPoint(place.left + 5, place.top + 5);
  return met !== null && link.contains(met);
})()
"""


def until(page: Page, expression: str) -> Any:
    """The value of an expression, once it has one that is true."""
    deadline = time.monotonic() + _SECONDS
    while True:
        # Of a page that is being left nothing can be asked.
        with contextlib.suppress(BrowserError):
            if found := page.evaluate(expression):
                return found
        assert time.monotonic() < deadline, f"{expression} is not so within {_SECONDS:g} s"
        time.sleep(0.05)


def click(page: Page, element: str) -> None:
    """Clicks soon: what asks for that is answered before the page is left."""
    page.evaluate(f"setTimeout(() => {element}.click()), true")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_wide_as_its_window_and_asks_nobody_else(
    chromium: Browser, pictures: Path, name: str
) -> None:
    picture = name.removesuffix(".html").replace("/", "-")
    with chromium.open(SITE / name, DESK) as page:
        for width in (TELEPHONE, DESK):
            page.look(width)
            page.screenshot(pictures / f"{picture}-{width}.png", scale=0.5)
            assert page.evaluate(_TOO_WIDE) == []
        asked = [urlsplit(address) for address in page.requests]
        complaints = page.complaints
    assert asked
    for address in asked:
        assert address.scheme == "data" or Path(unquote(address.path)).is_relative_to(SITE)
    assert complaints == []


@pytest.mark.parametrize("width", [TELEPHONE, DESK])
def test_the_search_leads_to_a_page_that_has_the_word(chromium: Browser, width: int) -> None:
    link = "document.querySelector('#search-results a[href*=\"docs/troubleshoot.html\"]')"
    with chromium.open(f"{(SITE / 'search.html').as_uri()}?q=doctor", width) as page:
        until(page, f"{link} !== null")
        click(page, link)
        until(page, "location.pathname.endsWith('docs/troubleshoot.html')")
        assert "doctor" in until(page, "document.querySelector('article')?.innerText")


def test_on_a_desk_the_menu_is_there(chromium: Browser) -> None:
    with chromium.open(SITE / "index.html", DESK) as page:
        assert page.evaluate(_MENU)


def test_on_a_telephone_the_menu_comes_when_it_is_asked_for(chromium: Browser) -> None:
    with chromium.open(SITE / "index.html", TELEPHONE) as page:
        assert not page.evaluate(_MENU)
        click(page, "document.querySelector('.mobile-header label[for=__navigation]')")
        until(page, _MENU)
        click(page, "document.querySelector('.sidebar-tree a[href*=\"operate\"]')")
        until(page, "location.pathname.endsWith('docs/operate.html')")
