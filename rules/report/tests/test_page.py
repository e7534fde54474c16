"""The page says what is in the image, in HTML that is well formed."""

from dataclasses import replace
from html.parser import HTMLParser

from rules.report import page
from rules.report.contents import Image, Layer, Package
from rules.report.origin import Origin
from rules.report.page import Report

LAYER = Layer(
    "//image:base", "sha256:aa", 1000, {"libc6": {"/usr/lib/libc.so.6": 1900, "/etc/<odd>": 5}}
)
PACKAGE = Package("libc6", "2.41", "LGPL-2.1", "pkg:deb/debian/libc6@2.41")
IMAGE = Image("amd64", "sha256:bb", (LAYER,), (PACKAGE,), ("/usr/bin/python3",))
ORIGIN = Origin("//todo:index", (), "7.7.1", "", "", 3, 4, (("image/lock.json", "sha256:dd"),))
REPORT = Report("todo", "sha256:cc", (IMAGE,), ORIGIN)
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
    found = read(page.html(REPORT))

    assert found.links == ["#amd64", "#advisories", "#origin", "#verify"]
    assert {link.removeprefix("#") for link in found.links} <= set(found.identifiers)
    assert len(set(found.identifiers)) == len(found.identifiers)


def test_layers_packages_files_and_programs_are_there() -> None:
    text = read(page.html(REPORT)).text

    for part in ("sha256:aa", "sha256:bb", "sha256:cc", "libc6", "2.41", "LGPL-2.1", "1.9 kB"):
        assert part in text
    assert "/usr/bin/python3" in text
    assert "//todo:verify -- REPOSITORY@sha256:cc" in text


def test_it_says_how_the_images_came_to_be() -> None:
    text = page.html(REPORT)

    assert '<tr><th scope="row">Built by</th><td>Bazel 7.7.1</td></tr>' in text
    assert '<th scope="row">Archives of Debian</th><td>3, of both CPUs</td>' in text
    assert '<th scope="row">Wheels</th><td>4, of both CPUs</td>' in text
    assert "<td>image/lock.json<div><code>sha256:dd</code></div></td>" in text
    assert "not stated: this build is no release" in text
    assert "--stated-revision" not in text


def test_a_release_is_verified_at_the_commit_that_it_states() -> None:
    released = replace(ORIGIN, revision="c0ffee", options=("--config=release",))

    text = page.html(replace(REPORT, origin=released))

    assert "<td>c0ffee</td>" in text
    assert "//todo:verify -- REPOSITORY@sha256:cc --stated-revision" in text


def test_a_path_is_text_and_no_markup() -> None:
    assert "/etc/&lt;odd&gt;" in page.html(REPORT)
