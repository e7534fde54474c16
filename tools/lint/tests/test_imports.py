"""Circles and closed ways are found, wherever in a module the import stands."""

from pathlib import Path

import pytest

from tools.lint import imports
from tools.lint.imports import Closed


def write(folder: Path, **sources: str) -> imports.Graph:
    files = []
    for name, text in sources.items():
        file = Path(name.replace("__", "/") + ".py")
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
        files.append(file)
    return imports.read(folder, files)


@pytest.mark.parametrize(
    "text",
    [
        "import room.other",
        "from room import other",
        "from room.other import name",
        "from . import other",
        "from .other import name",
        "def late():\n    from room import other",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from room.other import Name",
    ],
)
def test_an_import_counts_however_it_is_written(tmp_path: Path, text: str) -> None:
    graph = write(tmp_path, room__one=text, room__other="")

    assert list(graph["room.one"]) == ["room.other"]


def test_what_is_not_of_the_workspace_is_left_out(tmp_path: Path) -> None:
    assert write(tmp_path, room__one="import os\nfrom json import loads")["room.one"] == {}


def test_a_circle_is_named_with_all_its_modules(tmp_path: Path) -> None:
    graph = write(
        tmp_path,
        room__a="from room import b",
        room__b="def late():\n    import room.c",
        room__c="from .a import x",
        room__d="from room import a",
    )

    assert imports.circles(graph) == [["room.a", "room.b", "room.c"]]


def test_a_tree_has_no_circle(tmp_path: Path) -> None:
    graph = write(tmp_path, a="import b\nimport c", b="import c", c="")

    assert imports.circles(graph) == []


def test_a_closed_way_is_named_with_line_and_reason(tmp_path: Path) -> None:
    graph = write(tmp_path, low__a="\nfrom high.b import x", high__b="", lower="import high.b")

    closed = [Closed("low", "high", "it would be thrown away with it")]

    assert imports.trespasses(graph, closed) == [
        "low.a:2 imports high.b: it would be thrown away with it"
    ]
