"""A root laid out as a folder is what the layers say."""

import pytest

from rules.layers.tree import Directory, File, LayerError, Symlink, Tree, normal


def plain(content: bytes = b"x", origin: str = "one") -> File:
    return File(content, False, origin)


def test_a_parent_stands_before_what_it_holds() -> None:
    tree = Tree()
    tree.add("/usr/lib/x", plain())
    tree.add("/usr/lib-exec", plain())

    assert [path for path, _ in tree.sorted()] == ["usr", "usr/lib", "usr/lib/x", "usr/lib-exec"]


def test_two_sources_may_agree_on_a_file() -> None:
    tree = Tree()
    tree.add("etc/a", plain(origin="one"))
    tree.add("etc/a", plain(origin="two"))

    assert tree.paths() == ["etc/a"]


@pytest.mark.parametrize("entry", [Symlink("b", "one"), Directory("one")])
def test_two_sources_may_agree_on_a_link_and_on_a_directory(entry: Symlink | Directory) -> None:
    tree = Tree()
    tree.add("etc/a", entry)
    tree.add("etc/a", entry._replace(origin="two"))

    assert tree.paths() == ["etc/a"]


def test_two_links_that_lead_elsewhere_are_both_named() -> None:
    tree = Tree()
    tree.add("etc/a", Symlink("b", "one"))

    with pytest.raises(LayerError, match="/etc/a comes from one and, different, two"):
        tree.add("etc/a", Symlink("c", "two"))


@pytest.mark.parametrize(
    "other", [plain(b"y", "two"), Symlink("b", "two"), File(b"x", True, "two"), Directory("two")]
)
def test_two_sources_that_differ_are_both_named(other: File | Symlink | Directory) -> None:
    tree = Tree()
    tree.add("etc/a", plain())

    with pytest.raises(LayerError, match="/etc/a comes from one and, different, two"):
        tree.add("etc/a", other)


def test_a_file_below_a_symlink_is_refused() -> None:
    tree = Tree()
    tree.add("lib", Symlink("usr/lib", "one"))
    tree.add("lib/x", plain(origin="two"))

    with pytest.raises(LayerError, match="/lib/x from two lies below /lib, which one"):
        tree.sorted()


@pytest.mark.parametrize("path", ["../etc/passwd", "/", "", "a/../../b", "a\nb"])
def test_a_path_outside_of_the_image_is_refused(path: str) -> None:
    with pytest.raises(LayerError, match="not a path inside an image"):
        normal(path)


@pytest.mark.parametrize("path", ["./usr/bin", "/usr/bin", "usr//bin", "usr/bin/"])
def test_a_path_has_one_spelling(path: str) -> None:
    assert normal(path) == "usr/bin"
