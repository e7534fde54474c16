"""The map shows files where they can be seen, and names where they can be read."""

import re

from rules.report import picture
from rules.report.contents import Image, Layer


def drawn(packages: dict[str, dict[str, int]]) -> str:
    layer = Layer("//image:base", "sha256:aa", 1, packages)
    return picture.treemap(Image("amd64", "sha256:bb", (layer,), (), ()))


def titles(text: str) -> list[str]:
    """Of the first of both shapes."""
    return re.findall(r"<title>([^<]*)</title>", text.partition("</svg>")[0])


def test_a_package_is_divided_by_its_files() -> None:
    text = drawn({"libc6": {"/usr/lib/libc.so.6": 3000, "/usr/lib/libm.so.6": 1000}})

    assert titles(text) == [
        "//image:base: libc6, 4.0 kB",
        "/usr/lib/libc.so.6, 3.0 kB",
        "/usr/lib/libm.so.6, 1.0 kB",
    ]
    assert ">libc.so.6</text>" in text


def test_files_are_in_proportion_below_the_name_of_their_package() -> None:
    text = drawn({"libc6": {"/a": 3000, "/b": 1000}}).partition("</svg>")[0]

    sizes = [
        float(width) * float(height)
        for width, height in re.findall(r'width="([\d.]+)" height="([\d.]+)"', text)
    ]
    assert sizes == [960 * 480, 720 * 464, 240 * 464]


def test_files_too_small_to_be_seen_are_drawn_as_one() -> None:
    small = {f"/small/{number}": 1 for number in range(100)}

    assert titles(drawn({"libc6": {"/large": 10_000_000, **small}})) == [
        "//image:base: libc6, 10.0 MB",
        "/large, 10.0 MB",
        "100 smaller files, 100 B",
    ]


def test_a_name_without_room_is_a_title_alone() -> None:
    long = "a" * 400

    text = drawn({"libc6": {f"/{long}": 1000}})

    assert f"<title>/{long}, 1.0 kB</title>" in text
    assert f"{long}</text>" not in text


def test_the_name_of_a_package_is_cut_to_the_room_there_is() -> None:
    many = {f"a-package-with-a-long-name-{number}": {"/a": 1000} for number in range(40)}

    text = drawn(many)

    assert "<title>//image:base: a-package-with-a-long-name-0, 1.0 kB</title>" in text
    assert re.search(r">a-packag[^<]*\u2026</text>", text)
    assert ">a-package-with-a-long-name-0</text>" not in text


def test_a_package_of_empty_files_has_none_in_the_map() -> None:
    assert titles(drawn({"empty": {"/a": 0}})) == ["//image:base: empty, 0 B"]


def test_both_shapes_have_a_name_for_who_cannot_see_them() -> None:
    text = drawn({"libc6": {"/a": 1}})

    assert re.findall(r'<svg class="(\w+)" viewBox="([\d ]+)" role="img" aria-label="U', text) == [
        ("wide", "0 0 960 480"),
        ("narrow", "0 0 480 720"),
    ]
