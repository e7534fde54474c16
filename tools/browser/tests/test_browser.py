"""What a page is found to be in the browser, and what is said where there is none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.browser import browser, protocol
from tools.browser.browser import Browser
from tools.browser.error import BrowserError

PAGE = """\
<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>A page</title>
<style>
@media (prefers-color-scheme: dark) { body { color: white } }
@media print { body { color: blue } }
</style>
<body><h1>Heading</h1><p id="p">text</p>
<details><summary>More</summary>inside</details>
"""


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(more: str = "") -> Path:
        file = tmp_path / "page.html"
        file.write_text(PAGE + more)
        return file

    return written


def test_a_page_has_the_width_that_was_asked_for(chromium: Browser, write: Write) -> None:
    with chromium.open(write(), width=390) as page:
        assert page.evaluate("innerWidth") == 390
        page.look(1200)
        assert page.evaluate("innerWidth") == 1200


def test_what_is_wider_than_the_window_is_named(chromium: Browser, write: Write) -> None:
    wide = '<div style="width: 600px">wide</div>'
    with chromium.open(write(wide), width=500) as page:
        assert page.wider() == ["div: wide"]
        page.look(700)
        assert page.wider() == []


def test_light_dark_and_print_are_told_apart(chromium: Browser, write: Write) -> None:
    colour = "getComputedStyle(document.body).color"
    with chromium.open(write(), width=500, dark=True) as page:
        assert page.evaluate(colour) == "rgb(255, 255, 255)"
        page.look(500)
        assert page.evaluate(colour) == "rgb(0, 0, 0)"
        page.look(500, media="print")
        assert page.evaluate(colour) == "rgb(0, 0, 255)"


def test_keys_do_what_they_do_for_a_person(chromium: Browser, write: Write) -> None:
    with chromium.open(write(), width=500) as page:
        page.press("Tab")
        assert page.evaluate("document.activeElement.localName") == "summary"
        page.press("Enter")
        assert page.evaluate("document.querySelector('details').open") is True
        page.press("Space")
        assert page.evaluate("document.querySelector('details').open") is False


def test_what_a_screen_reader_is_told_has_role_and_name(chromium: Browser, write: Write) -> None:
    with chromium.open(write(), width=500) as page:
        assert ("heading", "Heading") in page.accessible()


def test_a_request_that_leaves_the_page_is_seen_and_leads_nowhere(
    chromium: Browser, write: Write
) -> None:
    away = '<img src="http://example.org/a.png" alt="">'
    with chromium.open(write(away), width=500) as page:
        assert page.requests[1:] == ["http://example.org/a.png"]
        assert page.complaints == ["Failed to load resource: net::ERR_NAME_NOT_RESOLVED"]


def test_a_script_that_fails_is_a_complaint(chromium: Browser, write: Write) -> None:
    with chromium.open(write("<script>throw new Error('odd')</script>"), width=500) as page:
        assert page.complaints == ["Uncaught"]


def test_a_picture_has_the_whole_page(chromium: Browser, write: Write, tmp_path: Path) -> None:
    with chromium.open(write('<div style="height: 3000px">'), width=500) as page:
        page.screenshot(tmp_path / "page.png")

    picture = (tmp_path / "page.png").read_bytes()
    assert int.from_bytes(picture[16:20]) == 500
    assert int.from_bytes(picture[20:24]) > 3000


def test_a_page_is_printed(chromium: Browser, write: Write) -> None:
    with chromium.open(write(), width=500) as page:
        assert page.pdf().startswith(b"%PDF-")


def test_an_expression_that_throws_is_an_error(chromium: Browser, write: Write) -> None:
    with (
        chromium.open(write(), width=500) as page,
        pytest.raises(BrowserError, match="nothing is not defined"),
    ):
        page.evaluate("nothing")


def test_a_page_that_is_not_there_is_an_error(chromium: Browser, tmp_path: Path) -> None:
    with (
        pytest.raises(BrowserError, match="ERR_FILE_NOT_FOUND"),
        chromium.open(tmp_path / "nowhere.html", width=500),
    ):
        pass


def test_without_chromium_it_says_what_was_expected(tmp_path: Path) -> None:
    with (
        pytest.raises(BrowserError, match="expected Debian's chromium-headless-shell"),
        browser.start(tmp_path),
    ):
        pass


def stand_in(root: Path, script: str) -> Path:
    """A folder whose loader is a shell script."""
    folder = root / "usr/lib/chromium"
    folder.mkdir(parents=True)
    (folder / "chromium-headless-shell").touch()
    loader = root / "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    loader.parent.mkdir(parents=True)
    loader.write_text(f"#!/bin/sh\n{script}\n")
    return root


def test_a_browser_that_ends_is_an_error_with_what_it_said(tmp_path: Path) -> None:
    root = stand_in(tmp_path, "echo no display >&2; exit 1")
    with pytest.raises(BrowserError, match="ended:\nexit code 1\nno display"), browser.start(root):
        pass


def test_a_browser_that_does_not_answer_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "SECONDS", 0.5)
    with (
        pytest.raises(BrowserError, match=r"Browser.getVersion: no answer within"),
        browser.start(stand_in(tmp_path, "sleep 60")),
    ):
        pass
