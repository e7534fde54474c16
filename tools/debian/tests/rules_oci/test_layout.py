"""Manifests, configs and indexes are written as rules_oci 2.3.2 writes them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tools.debian.modules.rules_oci.oci.private import layout
from tools.debian.tests.rules_oci import archive

AMD64 = {"architecture": "amd64", "os": "linux"}


def described(path: Path, **changes: Any) -> list[str]:
    """Arguments that add the archive at `path`, with `changes` to its descriptor."""
    content = path.read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    known = {"digest": digest, "diffid": digest, "size": len(content), "compression": ""}
    descriptor = path.with_suffix(".json")
    descriptor.write_text(json.dumps(known | changes))
    return ["--layer", str(path), str(descriptor), "//a:layer"]


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.tar"
    path.write_bytes(archive.tar("etc/hello", b"hello"))
    return path


class Builder:
    """Calls the program as the rules do."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._capsys = capsys
        self._count = 0
        self.error = ""

    def run(self, command: str, *arguments: str) -> Path | None:
        """The layout, or None with the message in `error`."""
        self._count += 1
        output = self._folder / f"output{self._count}"
        where = [f"--output={output}", f"--digest-file={output}.sha256"]
        code = layout.main([command, *where, *arguments])
        self.error = self._capsys.readouterr().err
        return None if code else output

    def image(self, *arguments: str) -> Path:
        output = self.run("image", *arguments)
        assert output, self.error
        return output

    def scratch(self, *arguments: str) -> Path:
        return self.image(f"--platform={json.dumps(AMD64)}", *arguments)

    def index(self, *images: Path) -> Path:
        output = self.run("index", *[f"--image={image}" for image in images])
        assert output, self.error
        return output


@pytest.fixture
def builder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Builder:
    return Builder(tmp_path, capsys)


def blobs(image: Path) -> set[str]:
    return {path.name for path in (image / "blobs/sha256").iterdir()}


def top(image: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((image / "index.json").read_text())["manifests"][0]
    return content


def blob(image: Path, digest: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((image / "blobs" / digest.replace(":", "/")).read_text())
    return content


def test_layout_holds_manifest_config_and_layer_and_nothing_else(
    builder: Builder, plain: Path
) -> None:
    image = builder.scratch(*described(plain))

    manifest = blob(image, top(image)["digest"])
    expected = [top(image), manifest["config"], *manifest["layers"]]
    assert blobs(image) == {part["digest"].removeprefix("sha256:") for part in expected}


def test_image_on_a_base_leaves_the_manifest_and_config_of_the_base_behind(
    builder: Builder, plain: Path
) -> None:
    base = builder.scratch(*described(plain))

    image = builder.image(f"--base={base}", "--user=1")

    assert len(blobs(image)) == 3
    assert top(base)["digest"].removeprefix("sha256:") not in blobs(image)


def test_index_holds_what_its_images_hold_and_itself(builder: Builder, plain: Path) -> None:
    first = builder.scratch(*described(plain))
    second = builder.scratch(*described(plain), "--user=1")

    index = builder.index(first, second)

    own = top(index)["digest"].removeprefix("sha256:")
    assert blobs(index) == blobs(first) | blobs(second) | {own}


def test_layer_is_a_file_of_its_own_without_a_link_to_the_archive(
    builder: Builder, plain: Path
) -> None:
    image = builder.scratch(*described(plain))

    layer = image / "blobs/sha256" / hashlib.sha256(plain.read_bytes()).hexdigest()
    assert not layer.is_symlink()
    assert layer.stat().st_nlink == 1


def test_descriptor_is_believed_so_that_no_layer_is_read_for_its_digest(
    builder: Builder, plain: Path
) -> None:
    image = builder.scratch(*described(plain, diffid=f"sha256:{'0' * 64}", compression="zstd"))

    manifest = blob(image, top(image)["digest"])
    assert manifest["layers"][0]["mediaType"].endswith("tar+zstd")
    config = blob(image, manifest["config"]["digest"])
    assert config["rootfs"]["diff_ids"] == [f"sha256:{'0' * 64}"]


def test_json_is_printed_as_jq_prints_it() -> None:
    assert layout.text({"a": {}, "b": [], "c": "é\x7f\x01<\n"}) == (
        '{\n  "a": {},\n  "b": [],\n  "c": "é\\u007f\\u0001<\\n"\n}'
    )


@pytest.mark.parametrize(
    ("value", "expanded"),
    [
        ("$A", "1"),
        ("${A}", "1"),
        ("${A", "1"),
        ("$A}", "1"),
        ("$AB", ""),
        ("${AB}!", "!"),
        ("$$A", "$1"),
        ("\\$A", "\\1"),
        ("5$ or $", "5$ or $"),
        ("$UNDER_SCORE", "4"),
        ("$TWICE", "23"),
    ],
)
def test_variables_are_put_in_as_rules_oci_does(value: str, expanded: str) -> None:
    variables = [("A", "1"), ("TWICE", "2"), ("TWICE", "3"), ("UNDER_SCORE", "4")]

    assert layout.expand(value, variables) == expanded


def test_index_as_a_base_is_refused(builder: Builder) -> None:
    index = builder.index(builder.scratch())

    assert builder.run("image", f"--base={index}") is None
    assert "is an image index" in builder.error
    assert "Name the oci_image target of one platform" in builder.error


def test_index_of_an_index_is_refused(builder: Builder) -> None:
    index = builder.index(builder.scratch())

    assert builder.run("index", f"--image={index}") is None
    assert "is an image index" in builder.error


def test_folder_that_is_no_layout_is_refused_as_a_base(builder: Builder, tmp_path: Path) -> None:
    assert builder.run("image", f"--base={tmp_path}") is None
    assert f"{tmp_path} is no OCI image layout" in builder.error


def test_base_with_several_manifests_is_refused(builder: Builder) -> None:
    base = builder.scratch()
    index = json.loads((base / "index.json").read_text())
    (base / "index.json").write_text(json.dumps(index | {"manifests": [top(base)] * 2}))

    assert builder.run("image", f"--base={base}") is None
    assert "expected one manifest, got 2" in builder.error


def test_base_without_one_of_its_blobs_is_refused(builder: Builder, plain: Path) -> None:
    base = builder.scratch(*described(plain))
    layer = base / "blobs/sha256" / hashlib.sha256(plain.read_bytes()).hexdigest()
    layer.unlink()

    assert builder.run("image", f"--base={base}") is None
    assert f"{layer} is missing; the layout is not complete" in builder.error


def test_digest_that_leads_out_of_the_layout_is_refused(builder: Builder) -> None:
    base = builder.scratch()
    text = (base / "index.json").read_text()
    (base / "index.json").write_text(text.replace(top(base)["digest"], "sha256:../../oci-layout"))

    assert builder.run("image", f"--base={base}") is None
    assert "expected a sha256 digest, got 'sha256:../../oci-layout'" in builder.error


def test_descriptor_of_another_archive_is_refused(builder: Builder, plain: Path) -> None:
    arguments = described(plain, size=1)

    assert builder.run("image", f"--platform={json.dumps(AMD64)}", *arguments) is None
    assert "//a:layer: its descriptor says 1 bytes" in builder.error


def test_descriptor_with_an_unknown_compression_is_refused(builder: Builder, plain: Path) -> None:
    arguments = described(plain, compression="xz")

    assert builder.run("image", f"--platform={json.dumps(AMD64)}", *arguments) is None
    assert "expected compression gzip, zstd or none, got 'xz'" in builder.error


def test_descriptor_that_lacks_the_diff_id_is_refused(builder: Builder, plain: Path) -> None:
    arguments = described(plain)
    Path(arguments[2]).write_text('{"digest": "sha256:1", "size": 1, "compression": ""}')

    assert builder.run("image", f"--platform={json.dumps(AMD64)}", *arguments) is None
    assert "has no 'diffid'" in builder.error


@pytest.mark.parametrize("created", ["yesterday", "2026-01-31T12:00:00Z\n", "2026-01-31"])
def test_time_of_creation_that_is_no_rfc_3339_time_is_refused(
    builder: Builder, tmp_path: Path, created: str
) -> None:
    file = tmp_path / "created.txt"
    file.write_text(created)

    arguments = [f"--platform={json.dumps(AMD64)}", f"--created={file}"]
    assert builder.run("image", *arguments) is None
    assert f"got {created!r}" in builder.error


def test_settings_that_are_not_utf_8_are_refused(builder: Builder, tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes(b"caf\xe9=1")

    arguments = [f"--platform={json.dumps(AMD64)}", f"--labels={file}"]
    assert builder.run("image", *arguments) is None
    assert f"labels: expected UTF-8 in {file}" in builder.error
