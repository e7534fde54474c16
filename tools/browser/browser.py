"""A page in headless Chromium: how it looks at a width, and facts about what it shows.

    with browser.start(root) as chromium, chromium.open(page, width=500) as shown:
        shown.screenshot(file)
        assert shown.wider() == []

`root` is the target `//tools/browser:chromium`.
"""

import base64
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools.browser.error import BrowserError
from tools.browser.program import Process
from tools.browser.protocol import Connection

HEIGHT = 900
# Of A4 between the margins that Chromium prints with, in CSS pixels.
PAPER = 717
# Inches.
_A4 = {"paperWidth": 8.27, "paperHeight": 11.69}
# What sticks out of the window, with its text; what is not shown has no place.
_WIDER = """
[...document.body.querySelectorAll('*')]
  .filter(each => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(each => `${each.localName}: ${each.textContent.trim().slice(0, 60)}`)
"""
_KEYS: Mapping[str, Mapping[str, Any]] = {
    "Tab": {"code": "Tab", "windowsVirtualKeyCode": 9},
    "Enter": {"code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"},
    "Space": {"key": " ", "code": "Space", "windowsVirtualKeyCode": 32, "text": " "},
}


class Page:
    """One page that is open."""

    def __init__(self, connection: Connection, target: str, session: str) -> None:
        self._connection = connection
        self._target = target
        self._session = session

    def call(self, method: str, **parameters: Any) -> Any:
        """The result of a command of the DevTools Protocol; raises `BrowserError`."""
        return self._connection.call(method, self._session, **parameters)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in JavaScript; raises `BrowserError` where it throws."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in found:
            thrown = found["exceptionDetails"]
            said = thrown.get("exception", {}).get("description", thrown["text"])
            raise BrowserError(f"{expression}: {said}")
        return found["result"].get("value")

    def screenshot(self, file: Path, *, scale: float = 1) -> None:
        """Writes a picture (PNG) of the whole page, below the window's edge too.

        A long page takes a second to be painted at its full size, half a size a fourth of that.
        """
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        taken = self.call(
            "Page.captureScreenshot",
            captureBeyondViewport=True,
            clip={**size, "scale": scale},
            # Of two files of the same picture, the larger one is there sooner.
            optimizeForSpeed=True,
        )
        file.write_bytes(base64.b64decode(taken["data"]))

    def pdf(self) -> bytes:
        """The page as it is printed on A4."""
        printed = self.call("Page.printToPDF", printBackground=True, **_A4)
        return base64.b64decode(printed["data"])

    def look(self, width: int, *, dark: bool = False, media: str = "screen") -> None:
        """Shows the page in a window of a width, in CSS pixels, in light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=HEIGHT, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def wider(self) -> list[str]:
        """The elements that are wider than the window, by name and text; none where nothing is."""
        found: list[str] = self.evaluate(_WIDER)
        if not found and self.evaluate("document.documentElement.scrollWidth > innerWidth"):
            return ["the page"]
        return found

    def press(self, key: str) -> None:
        """Presses a key: Tab, Enter or Space."""
        event = {"key": key, **_KEYS[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown", **event)
        event.pop("text", None)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def accessible(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader is told of."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        # It would keep the tree, at the cost of every change of the page.
        self.call("Accessibility.disable")
        return [
            (each["role"]["value"], each.get("name", {}).get("value", ""))
            for each in nodes
            if not each["ignored"]
        ]

    @property
    def requests(self) -> list[str]:
        """The addresses that the page has asked for, its own first."""
        return [
            event["params"]["request"]["url"] for event in self._events("Network.requestWillBeSent")
        ]

    @property
    def complaints(self) -> list[str]:
        """What the browser has to say against the page: exceptions, and its log's errors."""
        thrown = [
            event["params"]["exceptionDetails"]["text"]
            for event in self._events("Runtime.exceptionThrown")
        ]
        entries = [event["params"]["entry"] for event in self._events("Log.entryAdded")]
        return thrown + [each["text"] for each in entries if each["level"] == "error"]

    def _events(self, method: str) -> list[Mapping[str, Any]]:
        return [
            event
            for event in self._connection.events
            if event["method"] == method and event.get("sessionId") == self._session
        ]

    def go(self, address: str) -> None:
        """Loads an address, and waits until the page and all that it needs are there."""
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        found = self.call("Page.navigate", url=address)
        if "errorText" in found:
            raise BrowserError(f"{address}: {found['errorText']}")
        self._connection.wait("Page.loadEventFired", self._session)

    def close(self) -> None:
        """Closes the page."""
        self._connection.call("Target.closeTarget", targetId=self._target)


class Browser:
    """Chromium that runs; pages are opened in it one after the other or at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        found = connection.call("Browser.getVersion")
        self.version: str = found["product"]

    @contextmanager
    def open(self, page: Path | str, width: int, *, dark: bool = False) -> Iterator[Page]:
        """A file, or an address, in a window of a width, until it is left."""
        target = self._connection.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._connection.call("Target.attachToTarget", targetId=target, flatten=True)
        shown = Page(self._connection, target, attached["sessionId"])
        shown.look(width, dark=dark)
        shown.go(page.absolute().as_uri() if isinstance(page, Path) else page)
        yield shown
        shown.close()


@contextmanager
def start(root: Path) -> Iterator[Browser]:
    """Chromium of a folder, until it is left.

    Raises:
        BrowserError: it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as scratch:
        process = Process(root, Path(scratch))
        try:
            yield Browser(Connection(process.commands, process.answers, process.said))
        finally:
            process.end()
