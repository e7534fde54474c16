"""Layouts are read, and torn ones refused (OCI image layout specification)."""

from pathlib import Path

import pytest

from tests.oci import layout, samples
from tests.oci.layout import LayoutError
from tests.oci.samples import file


def test_reads_the_configuration(tmp_path: Path) -> None:
    where = samples.write(
        tmp_path / "image",
        [],
        {
            "User": "65532:65532",
            "Entrypoint": ["/usr/bin/x", "-a"],
            "Env": ["A=1", "B=x=y"],
            "ExposedPorts": {"80/tcp": {}},
            "WorkingDir": "/w",
            "Labels": {"k": "v"},
            "StopSignal": "SIGINT",
        },
    )

    read = layout.read(where).configuration

    assert read.user == "65532:65532"
    assert read.entrypoint == ["/usr/bin/x", "-a"]
    assert read.command == []
    assert read.environment == {"A": "1", "B": "x=y"}
    assert read.exposed_ports == ["80/tcp"]
    assert read.working_directory == "/w"
    assert read.labels == {"k": "v"}
    assert read.stop_signal == "SIGINT"


def test_an_image_that_says_nothing_has_the_specifications_defaults(tmp_path: Path) -> None:
    read = layout.read(samples.write(tmp_path / "image", [])).configuration

    assert (read.user, read.entrypoint, read.working_directory) == ("", [], "/")
    assert read.stop_signal == "SIGTERM"


@pytest.mark.parametrize("compress", [True, False])
def test_reads_entries_with_owner_mode_time_and_content(tmp_path: Path, compress: bool) -> None:
    entry = file(
        "/a/b", b"text", 0o4750, uid=1, gid=2, modified=3, attributes={"security.capability": "x"}
    )
    where = samples.write(tmp_path / "image", [[entry]], compress=compress)

    assert list(layout.read(where).layers[0].entries) == [entry]


def test_layers_have_the_names_of_their_targets_and_sizes(tmp_path: Path) -> None:
    where = samples.write(
        tmp_path / "image", [[file("/a", b"12345")], [file("/b", b"1"), file("/c", b"1")]]
    )

    layers = layout.read(where).layers

    assert [(layer.name, layer.unpacked_size) for layer in layers] == [("0", 5), ("1", 2)]
    assert all(layer.size > 0 for layer in layers)


def test_picks_the_image_of_a_platform_out_of_a_nested_index(tmp_path: Path) -> None:
    where = samples.write(tmp_path / "image", [[file("/amd64")]])
    samples.write(where, [[file("/arm64")]], architecture="arm64")
    samples.nest_index(where)

    found = layout.read(where, "linux/arm64")

    assert [entry.path for entry in found.files] == ["/arm64"]


def test_says_which_images_there_are_when_it_cannot_choose(tmp_path: Path) -> None:
    where = samples.write(tmp_path / "image", [])
    samples.write(where, [], architecture="arm64")

    with pytest.raises(
        LayoutError, match=r"expected one image, got 2; .*amd64, sha256:\w+ for linux/"
    ):
        layout.read(where)
    with pytest.raises(
        LayoutError, match=r"one image for linux/s390x, got 0; there .* linux/arm64$"
    ):
        layout.read(where, "linux/s390x")


def test_a_folder_that_is_no_layout_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="is no OCI image layout"):
        layout.read(tmp_path)


def test_a_blob_that_is_not_what_its_digest_says_is_an_error(tmp_path: Path) -> None:
    where = samples.write(tmp_path / "image", [[file("/a")]])
    digest = layout.read(where).layers[0].digest.partition(":")[2]
    blob = where / "blobs/sha256" / digest
    blob.write_bytes(blob.read_bytes() + b"x")

    with pytest.raises(LayoutError, match=f"blob sha256:{digest} has digest sha256:"):
        layout.read(where)


def test_a_missing_blob_is_an_error(tmp_path: Path) -> None:
    where = samples.write(tmp_path / "image", [[file("/a")]])
    digest = layout.read(where).layers[0].digest.partition(":")[2]
    (where / "blobs/sha256" / digest).unlink()

    with pytest.raises(LayoutError, match=f"blob sha256:{digest} is missing"):
        layout.read(where)
