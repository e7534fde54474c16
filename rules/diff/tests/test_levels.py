"""What differs is found at its level, and nothing is hidden by a difference elsewhere."""

from pathlib import Path

from rules.diff import cause
from rules.diff.__main__ import compare
from rules.diff.difference import Difference
from rules.diff.tests.images import Item, Layout, image, tar

BASE = [Item(f"usr/lib/{name}", name) for name in "abcdefgh"]
PACKAGES = [Item(f"usr/local/{name}", name) for name in "klmnop"]
APP = [Item("app/main.py", "import os\n"), Item("app/start.py", "x = 1\n")]
NAMES = ["base", "packages", "app"]


def differences(tmp_path: Path) -> list[Difference]:
    return compare("A", "B", base=tmp_path).differences


def briefly(tmp_path: Path) -> set[tuple[str, str]]:
    return {(" ".join(each.where[1:]), each.what) for each in differences(tmp_path)}


def test_equal_images_are_the_same(tmp_path: Path) -> None:
    image(tmp_path / "A", BASE, APP)
    image(tmp_path / "B", BASE, APP)
    assert compare("A", "B", base=tmp_path).same


def test_layers_are_named_by_their_history(tmp_path: Path) -> None:
    image(tmp_path / "A", BASE, PACKAGES, APP, names=NAMES)
    image(tmp_path / "B", BASE, PACKAGES, [*APP[:1], Item("app/start.py", "x = 2\n")], names=NAMES)
    assert briefly(tmp_path) == {("layer 3 (app) /app/start.py", "line 1")}


def test_a_layer_more_hides_nothing_in_the_others(tmp_path: Path) -> None:
    image(tmp_path / "A", BASE, APP)
    changed = [*BASE[:-1], Item("usr/lib/h", "H")]
    image(tmp_path / "B", changed, PACKAGES, APP)
    found = briefly(tmp_path)
    assert ("", "number of layers") in found
    assert ("layer 1 /usr/lib/h", "line 1") in found
    assert ("layer 2", "layer") in found
    assert {(f"layer 2 /usr/local/{name}", "entry") for name in "klmnop"} < found
    assert not any("app" in where for where, _ in found)


def test_layers_made_one_are_compared_by_path(tmp_path: Path) -> None:
    image(tmp_path / "A", BASE, APP)
    image(tmp_path / "B", [*BASE, APP[0], Item("app/start.py", "x = 2\n")])
    found = briefly(tmp_path)
    assert ("/app/start.py", "line 1") in found
    assert ("/app/main.py", "layer") in found
    assert not any(what == "entry" for _, what in found)


def test_order_of_equal_layers_is_told(tmp_path: Path) -> None:
    image(tmp_path / "A", BASE, PACKAGES, APP)
    image(tmp_path / "B", BASE, APP, PACKAGES)
    (found,) = differences(tmp_path)
    assert found.what == "order of layers"
    assert found.right == "layer 1, layer 3, layer 2"
    assert found.cause is cause.ORDER


def test_entry_on_one_side_only_is_told(tmp_path: Path) -> None:
    image(tmp_path / "A", [*BASE, Item("usr/lib/only", "1")])
    image(tmp_path / "B", BASE)
    (found,) = differences(tmp_path)
    assert (found.where[-1], found.left, found.right) == ("/usr/lib/only", "file", "(none)")


def test_entry_that_comes_twice_is_told(tmp_path: Path) -> None:
    image(tmp_path / "A", [*BASE, BASE[0]])
    image(tmp_path / "B", BASE)
    assert ("layer 1 /usr/lib/a", "entry") in briefly(tmp_path)


def test_every_field_of_the_config_is_told(tmp_path: Path) -> None:
    for side, user, environment in (("A", "65532", ["A=1", "B=2"]), ("B", "0", ["B=2", "A=1"])):
        config = {"config": {"User": user, "Env": environment, "Labels": {"side": side}}}
        image(tmp_path / side, BASE, config=config)
    assert briefly(tmp_path) == {
        ("config config.User", "value"),
        ("config config.Env[0]", "order of elements"),
        ("config config.Labels.side", "value"),
    }


def test_history_and_unknown_fields_are_told(tmp_path: Path) -> None:
    image(tmp_path / "A", BASE, names=["base"], config={"variant": "v8"})
    image(tmp_path / "B", BASE, names=["foundation"])
    found = briefly(tmp_path)
    assert ("config variant", "key") in found
    assert ("config history[0].created_by", "value") in found


def test_annotations_and_media_types_are_told(tmp_path: Path) -> None:
    image(tmp_path / "A", BASE, manifest={"annotations": {"a": "1"}})
    image(tmp_path / "B", BASE, manifest={"mediaType": "application/vnd.docker.other+json"})
    assert {("manifest annotations", "key"), ("manifest mediaType", "value")} <= briefly(tmp_path)


def index(folder: Path, architectures: list[str], app: str = "x") -> None:
    layout = Layout(folder)
    layout.finish(
        layout.index(
            [
                layout.image([tar([Item("app", f"{app} {name}")])], architecture=name)
                | {"platform": {"os": "linux", "architecture": name}}
                for name in architectures
            ]
        )
    )


def test_images_of_an_index_are_compared_by_platform(tmp_path: Path) -> None:
    index(tmp_path / "A", ["amd64", "arm64"])
    index(tmp_path / "B", ["amd64", "arm64"], app="y")
    assert [each.where for each in differences(tmp_path)] == [
        ("linux/amd64", "layer 1", "/app"),
        ("linux/arm64", "layer 1", "/app"),
    ]


def test_missing_platform_is_told(tmp_path: Path) -> None:
    index(tmp_path / "A", ["amd64", "arm64"])
    index(tmp_path / "B", ["amd64"])
    (found,) = differences(tmp_path)
    assert (found.level, found.where, found.right) == ("index", ("linux/arm64",), "(none)")


def test_index_is_compared_with_an_image_of_its_platform(tmp_path: Path) -> None:
    index(tmp_path / "A", ["amd64", "arm64"])
    image(tmp_path / "B", [Item("app", "x amd64")])
    assert [(each.where, each.what) for each in differences(tmp_path)] == [
        ((), "kind"),
        (("linux/arm64",), "image"),
    ]


def test_two_images_of_one_platform_are_both_compared(tmp_path: Path) -> None:
    for side, second in (("A", "2"), ("B", "3")):
        layout = Layout(tmp_path / side)
        images = [layout.image([tar([Item("x", each)])]) for each in ("1", second)]
        layout.finish(layout.index(images))
    assert [each.where[-1] for each in differences(tmp_path)] == ["/x"]


def test_image_of_another_project_is_called_that(tmp_path: Path) -> None:
    image(tmp_path / "A", BASE)
    image(tmp_path / "B", APP, config={"config": {"Entrypoint": ["/other"]}})
    report = compare("A", "B", base=tmp_path)
    assert "different projects" in report.notes[0]
    assert report.differences
