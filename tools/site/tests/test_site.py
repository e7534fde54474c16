"""The site of the documentation: whole, the same each time, and all of it its own."""

import functools
import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

SITE = Path(os.environ["SITE"])
SOURCES = [Path(name) for name in os.environ["SOURCES"].split()]
PAGES = sorted(page.relative_to(SITE).as_posix() for page in SITE.rglob("*.html"))
# Attributes whose address a browser gets by itself; of a link, when it is followed.
LOADED = {"src", "srcset", "data", "poster"}


class Addresses(HTMLParser):
    """What a page names.

    Attributes:
        loaded: what the browser gets to show it.
        links: what a person may follow.
        names: of its places.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in LOADED:
                self.loaded.append(value)
            elif value and name == "href":
                (self.links if tag == "a" else self.loaded).append(value)
            elif value and name == "id":
                self.names.add(value)


# A page that many link to is read once.
@functools.cache
def read(page: str) -> Addresses:
    return Addresses((SITE / page).read_text())


def target(page: str, address: str) -> str:
    """The file of the site that an address leads to from a page."""
    path = unquote(urlsplit(address).path)
    return os.path.normpath(Path(page).parent / path) if path else page


def built(folder: Path, sources: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    command = [os.environ["BUILDER"], "--site", str(folder), *sources]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **variables}
    )


def contents(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_every_page_of_the_sources_is_a_page_of_the_site() -> None:
    expected = {source.with_suffix(".html").as_posix() for source in SOURCES
                if source.suffix == ".md"}  # fmt: skip
    assert expected | {"index.html", "search.html"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_loads_nothing_from_elsewhere(page: str) -> None:
    for address in read(page).loaded:
        parts = urlsplit(address)
        assert not parts.netloc, address
        assert parts.scheme in {"", "data"}, address
        if not parts.scheme:
            assert (SITE / target(page, address)).is_file(), address


def test_styles_load_nothing_from_elsewhere() -> None:
    sheets = sorted(SITE.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        text = sheet.read_text()
        addresses = re.findall(r"url\(\s*['\"]?([^'\")]+)", text) + re.findall(
            r"@import\s+['\"]([^'\"]+)", text
        )
        assert [one for one in addresses if not one.startswith("data:") and "//" in one] == []


def test_scripts_name_no_host_that_they_could_ask() -> None:
    for script in SITE.rglob("*.js"):
        if script.name == "searchindex.js":
            continue
        code = re.sub(
            r"/\*.*?\*/|^\s*//.*$", "", script.read_text(), flags=re.DOTALL | re.MULTILINE
        )
        hosts = set(re.findall(r"https?://([\w.-]+)", code))
        # The name of SVG's namespace, which is no address.
        assert hosts <= {"www.w3.org"}, script


@pytest.mark.parametrize("page", PAGES)
def test_a_link_within_the_site_leads_to_a_place_of_it(page: str) -> None:
    for link in read(page).links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        name = target(page, link)
        assert (SITE / name).is_file(), link
        if parts.fragment and name.endswith(".html"):
            assert unquote(parts.fragment) in read(name).names, link


def test_every_page_is_in_the_menu() -> None:
    menu = {target("index.html", link) for link in read("index.html").links}
    unlisted = set(PAGES) - menu - {"README.html", "index.html", "search.html", "genindex.html"}
    assert unlisted == set()


def test_the_search_knows_words_of_the_pages() -> None:
    text = (SITE / "searchindex.js").read_text()
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    found = index["terms"]["doctor"]
    numbers = found if isinstance(found, list) else [found]
    assert "docs/troubleshoot" in {index["docnames"][number] for number in numbers}


def test_a_build_in_other_surroundings_has_the_same_bytes(tmp_path: Path) -> None:
    # SITE is a build already: in Bazel's place and environment, with the sources in their order.
    site = tmp_path / "longer-name"
    sources = [f"{source}={source}" for source in reversed(SOURCES)]
    variables = {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "LANG": "de_DE.UTF-8"}
    done = built(site, sources, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    one, other = contents(SITE), contents(site)
    assert sorted(one) == sorted(other)
    assert [name for name in one if one[name] != other[name]] == []
    assert [
        name for name in other if b"/tmp/" in other[name] and str(tmp_path).encode() in other[name]
    ] == []


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("[x](nowhere.md)", "nowhere.md"),
        ("[x](index.md#no-such-heading)", "no-such-heading"),
        ("![x](nowhere.svg)", "nowhere.svg"),
    ],
)
def test_a_dead_link_ends_the_build_and_leaves_nothing(
    link: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "README.md").write_text("# Pages\n\nWords.\n")
    (tmp_path / "index.md").write_text(f"# Index\n\n## I look\n\nSee {link} for more.\n")
    sources = [f"README.md={tmp_path}/README.md", f"docs/index.md={tmp_path}/index.md"]
    done = built(tmp_path / "site", sources)
    assert done.returncode == 1
    assert "docs/index.md:5" in done.stderr
    assert said in done.stderr
    assert not (tmp_path / "site").exists()


def test_a_page_that_the_index_does_not_name_ends_the_build(tmp_path: Path) -> None:
    for name in ("README", "index", "lost"):
        (tmp_path / f"{name}.md").write_text("# A page\n\nWords.\n")
    sources = [f"README.md={tmp_path}/README.md", f"docs/index.md={tmp_path}/index.md"]
    done = built(tmp_path / "site", [*sources, f"docs/lost.md={tmp_path}/lost.md"])
    assert done.returncode == 1
    assert "docs/lost.md" in done.stderr


@pytest.fixture
def served() -> Iterator[str]:
    command = [os.environ["SERVE"], str(SITE), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()
        process.terminate()


def test_the_site_is_served_on_this_machine_alone(served: str) -> None:
    assert served.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{served}/docs/operate.html", timeout=20) as answer:
        assert b"Operate" in answer.read()


@pytest.mark.parametrize("port", ["abc", "65536", "-1"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    command = [os.environ["SERVE"], str(SITE), port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert f"expected a port, 0 to 65535, got {port}" in done.stderr
