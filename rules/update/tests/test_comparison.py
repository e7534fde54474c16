"""What an update changes is told by package, layer, file and licence."""

import json

from rules.update import rendering
from rules.update.change import Change
from rules.update.comparison import compare
from rules.update.image import Image
from rules.update.locks import Lock

OLD = Image(
    packages={("Debian", "libc6"): "2.41-12", ("PyPI", "anyio"): "4.1", ("PyPI", "old"): "1"},
    licences={("Debian", "libc6"): "LGPL-2.1", ("PyPI", "anyio"): "MIT", ("PyPI", "old"): "MIT"},
    layers={"//image:base": 100, "//image:packages": 50},
    files={"/a": "1", "/b": "2", "/c": "3"},
)
NEW = Image(
    packages={("Debian", "libc6"): "2.41-13", ("PyPI", "anyio"): "4.2", ("PyPI", "new"): "7"},
    licences={("Debian", "libc6"): "LGPL-2.1", ("PyPI", "anyio"): "ISC", ("PyPI", "new"): "MIT"},
    layers={"//image:base": 120, "//image:packages": 50},
    files={"/a": "1", "/b": "changed", "/d": "4"},
)


def test_packages_that_change_come_and_go_are_told() -> None:
    assert compare(OLD, NEW).packages == (
        Change("Debian", "libc6", "2.41-12", "2.41-13"),
        Change("PyPI", "anyio", "4.1", "4.2"),
        Change("PyPI", "new", "", "7"),
        Change("PyPI", "old", "1", ""),
    )


def test_a_layer_is_told_where_its_size_differs() -> None:
    assert compare(OLD, NEW).sizes == {"//image:base": (100, 120)}


def test_files_are_told_apart_by_what_became_of_them() -> None:
    found = compare(OLD, NEW)

    assert (found.appeared, found.gone, found.changed) == (("/d",), ("/c",), ("/b",))


def test_the_licence_of_a_new_package_is_no_change() -> None:
    assert compare(OLD, NEW).licences == (Change("PyPI", "anyio", "MIT", "ISC"),)


def test_an_advisory_about_the_old_image_alone_is_fixed() -> None:
    found = compare(OLD, NEW, ["CVE-1 (libc6)", "CVE-2 (anyio)"], ["CVE-2 (anyio)", "CVE-3 (new)"])

    assert (found.fixed, found.new_advisories) == (("CVE-1 (libc6)",), ("CVE-3 (new)",))


LOCK = Lock("image/lock.json", "{}", (Change("Debian", "libc6", "2.41-12", "2.41-13"),))


def test_the_table_has_a_row_for_each_package_and_layer() -> None:
    text = rendering.table([LOCK], {"amd64": compare(OLD, NEW)})

    assert "| libc6 | 2.41-12 | 2.41-13 |" in text
    assert "| //image:base | 100 | 120 | +20 |" in text
    assert "- files that change: 1\n" in text
    assert "- files that appear: /d\n" in text
    assert "- licences changed: anyio MIT -> ISC\n" in text
    assert "- advisories fixed: nothing\n" in text


def test_a_long_list_is_cut_and_counted_in_the_table_alone() -> None:
    many = Image({}, {}, {}, {f"/{number:03}": "1" for number in range(30)})
    difference = compare(Image({}, {}, {}, {}), many)

    assert "/019 and 10 more" in rendering.table([LOCK], {"amd64": difference})
    found = json.loads(rendering.as_json([LOCK], {"amd64": difference}))
    assert len(found["images"]["amd64"]["appeared"]) == 30
