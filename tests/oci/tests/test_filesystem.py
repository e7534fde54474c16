"""An image's files as its layers leave them."""

from tests.oci.filesystem import DIRECTORY, HARDLINK, Entry, Filesystem
from tests.oci.samples import file, folder, link


def paths(*layers: list[Entry]) -> list[str]:
    return [entry.path for entry in Filesystem.of_layers(layers)]


def test_a_later_layer_replaces_what_an_earlier_one_has() -> None:
    files = Filesystem.of_layers([[file("/a", b"old")], [file("/a", b"new")]])

    assert [entry.content for entry in files] == [b"new"]


def test_a_whiteout_removes_a_file_of_a_lower_layer() -> None:
    assert paths([file("/d/a"), file("/d/b")], [file("/d/.wh.a")]) == ["/d/b"]


def test_a_whiteout_removes_a_folder_with_all_below() -> None:
    assert paths([folder("/d"), file("/d/e/f"), file("/dx")], [file("/.wh.d")]) == ["/dx"]


def test_a_whiteout_leaves_what_its_own_layer_brings() -> None:
    assert paths([file("/a")], [file("/a"), file("/.wh.a")]) == ["/a"]


def test_an_opaque_whiteout_hides_lower_layers_only() -> None:
    lower = [folder("/d"), file("/d/old")]
    upper = [file("/d/.wh..wh..opq"), file("/d/new")]

    assert paths(lower, upper) == ["/d", "/d/new"]


def test_a_file_in_place_of_a_folder_removes_what_was_below() -> None:
    assert paths([folder("/d"), file("/d/a")], [file("/d")]) == ["/d"]


def test_a_hard_link_has_its_targets_content() -> None:
    files = Filesystem.of_layers([[file("/a", b"x"), Entry("/b", HARDLINK, 0o644, target="a")]])

    found = files.get("/b")
    assert found
    assert (found.kind, found.content) == ("file", b"x")


def test_resolves_links_within_the_image() -> None:
    files = Filesystem(
        [
            link("/lib", "usr/lib"),
            folder("/usr"),
            folder("/usr/lib"),
            file("/usr/lib/x", b"found"),
            link("/usr/lib/y", "/lib/x"),
            link("/usr/lib/z", "../../../../lib/y"),
        ]
    )

    for path in ("/lib/x", "/lib/y", "/usr/lib/z", "/usr/./lib/../lib/x"):
        found = files.resolve(path)
        assert found, path
        assert found.path == "/usr/lib/x"


def test_resolves_the_root() -> None:
    found = Filesystem().resolve("/")

    assert found
    assert found.kind == DIRECTORY


def test_what_is_not_there_resolves_to_nothing() -> None:
    files = Filesystem([link("/a", "nowhere"), file("/b"), link("/c", "c")])

    assert files.resolve("/a") is None
    assert files.resolve("/b/c") is None
    assert files.resolve("/c") is None
