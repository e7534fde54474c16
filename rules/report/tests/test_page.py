"""The page says what is in the image, in HTML that is well formed."""

from html.parser import HTMLParser

from rules.report import page
from rules.report.contents import Image, Layer, Package

LAYER = Layer(
    "//image:base", "sha256:aa", 1000, {"libc6": {"/usr/lib/libc.so.6": 1900, "/etc/<odd>": 5}}
)
IMAGE = Image(
    "amd64", "sha256:bb", (LAYER,), (Package("libc6", "2.41", "LGPL-2.1"),), ("/usr/bin/python3",)
)
VOID = {"meta"}


class Reader(HTMLParser):
    """Keeps the open elements, all identifiers, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.identifiers: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.identifiers.append(str(found["id"]))
        if found.get("href"):
            self.links.append(str(found["href"]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def test_elements_are_closed_and_links_lead_somewhere() -> None:
    found = read(page.html("todo", "sha256:cc", [IMAGE]))

    assert found.links == ["#amd64", "#verify"]
    assert {link.removeprefix("#") for link in found.links} <= set(found.identifiers)
    assert len(set(found.identifiers)) == len(found.identifiers)


def test_layers_packages_files_and_programs_are_there() -> None:
    text = read(page.html("todo", "sha256:cc", [IMAGE])).text

    for part in ("sha256:aa", "sha256:bb", "sha256:cc", "libc6", "2.41", "LGPL-2.1", "1.9 kB"):
        assert part in text
    assert "/usr/bin/python3" in text
    assert "//image:verify -- REPOSITORY@sha256:cc" in text


def test_a_path_is_text_and_no_markup() -> None:
    assert "/etc/&lt;odd&gt;" in page.html("todo", "sha256:cc", [IMAGE])
