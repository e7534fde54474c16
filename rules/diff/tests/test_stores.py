"""Images are read from wherever they lie, and what is broken is refused with its name."""

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rules.diff.__main__ import main
from rules.diff.store import advice
from rules.diff.tests.images import Item, Layout, image, packed, tar
from rules.diff.tests.registry import registry

ITEMS = [Item(f"x/{name}", name) for name in "abcd"]
CRANE = os.environ.get("CRANE", "crane")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


def archive(folder: Path, to: Path) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as out:
        for path in sorted(folder.rglob("*")):
            out.add(path, str(path.relative_to(folder)), recursive=False)
    content = plain.getvalue()
    to.write_bytes(packed(content) if to.suffix == ".gz" else content)


def docker_archive(to: Path, *layers: bytes, config: bytes | None = None) -> None:
    layout = Layout(to.with_suffix(".layout"))
    manifest = json.loads(
        (
            layout.folder
            / "blobs"
            / layout.image([gzip.decompress(each) for each in layers])["digest"].replace(":", "/")
        ).read_text()
    )
    digest = manifest["config"]["digest"].removeprefix("sha256:")
    original = (layout.folder / "blobs/sha256" / digest).read_bytes()
    members = {
        f"{digest}.json": config or original,
        **{f"{number}/layer.tar": each for number, each in enumerate(layers)},
    }
    described = [
        {
            "Config": f"{digest}.json",
            "RepoTags": ["x:1"],
            "Layers": [f"{number}/layer.tar" for number in range(len(layers))],
        }
    ]
    members["manifest.json"] = json.dumps(described).encode()
    with tarfile.open(to, "w") as out:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            out.addfile(header, io.BytesIO(content))


@pytest.mark.parametrize("name", ["B.tar", "B.tar.gz"])
def test_archive_of_a_layout_is_read(here: Path, name: str) -> None:
    image(here / "A", ITEMS)
    archive(here / "A", here / name)
    assert main(["A", name]) == 0


def test_docker_archive_is_compared_with_a_layout(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image(here / "A", ITEMS)
    docker_archive(here / "B.tar", packed(tar(ITEMS)))
    assert main(["A", "B.tar"]) == 0
    assert "docker archives have no manifest" in capsys.readouterr().out


def test_difference_in_a_docker_archive_is_found(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image(here / "A", ITEMS)
    docker_archive(here / "B.tar", packed(tar([*ITEMS[:-1], Item("x/d", "D")])))
    assert main(["A", "B.tar"]) == 1
    assert "/x/d: line 1" in capsys.readouterr().out


def test_difference_is_one_and_a_page_is_written(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image(here / "A", ITEMS)
    image(here / "B", [*ITEMS, Item("<script>", "x")])
    assert main(["A", "B", "--html", "page.html", "--json"]) == 1
    page = (here / "page.html").read_text()
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "http" not in page
    document = json.loads(capsys.readouterr().out)
    assert document["same"] is False
    assert document["differences"][0]["where"][-1] == "/<script>"


def test_page_that_cannot_be_written_leaves_nothing(here: Path) -> None:
    image(here / "A", ITEMS)
    (here / "page.html/inside").mkdir(parents=True)
    assert main(["A", "A", "--html", "page.html"]) == 2
    assert not list(here.glob("*.partial"))


def test_many_differences_of_one_kind_are_counted(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = [Item(f"x/{number}", "1") for number in range(50)]
    image(here / "A", items)
    image(here / "B", [Item(each.path, "1", mtime=7) for each in items])
    assert main(["A", "B"]) == 1
    assert "47 more of this kind (time)" in capsys.readouterr().out
    assert main(["A", "B", "--all"]) == 1
    assert capsys.readouterr().out.count("/x/") == 50


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "Traceback" not in output.err
    return output.err


def test_missing_blob_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image(here / "A", ITEMS)
    shutil.copytree(here / "A", here / "B")
    largest = max((here / "B/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    largest.unlink()
    assert f"blob sha256:{largest.name} is missing" in refused(capsys, "A", "B")


@pytest.mark.parametrize("size", [100, None])
def test_torn_blob_is_named(
    here: Path, capsys: pytest.CaptureFixture[str], size: int | None
) -> None:
    image(here / "A", ITEMS)
    shutil.copytree(here / "A", here / "B")
    for blob in (here / "B/blobs/sha256").iterdir():
        content = blob.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            blob.write_bytes(content[:size] if size else content[:-1] + b"x")
            torn = blob.name
    assert f"blob sha256:{torn} is torn" in refused(capsys, "A", "B")


def test_size_that_is_not_the_blobs_is_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image(here / "A", ITEMS)
    image(here / "B", ITEMS)
    index = json.loads((here / "B/index.json").read_text())
    index["manifests"][0]["size"] += 1
    (here / "B/index.json").write_text(json.dumps(index))
    assert "is torn: expected" in refused(capsys, "A", "B")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"config": ["x"]}, "config: expected a dict, got \"['x']\""),
        ({"config": {"Labels": "x"}}, "Labels: expected a dict, got 'x'"),
        ({"history": "x"}, "history: expected a list, got 'x'"),
        ({"history": ["x"]}, "history: expected a dict, got 'x'"),
        ({"rootfs": {"diff_ids": [["x"]]}}, "diff_ids: expected a str, got \"['x']\""),
        ({"architecture": ["x"]}, "architecture: expected a str, got \"['x']\""),
    ],
)
def test_config_of_other_kinds_of_values_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], config: dict[str, Any], expected: str
) -> None:
    image(here / "A", ITEMS)
    image(here / "B", ITEMS, config=config)
    assert expected in refused(capsys, "A", "B")


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({"config": "x"}, "expected a digest sha256:..., got None"),
        ({"layers": "x"}, "layers: expected a list, got 'x'"),
        ({"layers": ["x"]}, "layers: expected a dict, got 'x'"),
        ({"manifests": None}, "manifests: expected a list, got 'None'"),
        ({"manifests": ["x"]}, "manifests: expected a dict, got 'x'"),
    ],
)
def test_manifest_of_other_kinds_of_values_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], manifest: dict[str, Any], expected: str
) -> None:
    image(here / "A", ITEMS)
    image(here / "B", ITEMS, manifest=manifest)
    assert expected in refused(capsys, "A", "B")


def test_no_image_names_a_file_of_this_machine(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image(here / "A", ITEMS)
    layout = Layout(here / "B")
    # One that a program which reads it would never come to the end of.
    layout.finish({**layout.image([tar(ITEMS)]), "file": "/dev/zero"})
    assert main(["A", "B"]) == 0
    capsys.readouterr()
    (here / "B/blobs/sha256").rename(here / "B/blobs/elsewhere")
    assert "is missing: there is no file" in refused(capsys, "A", "B")


def test_file_of_a_size_that_no_file_has_is_a_difference(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tar([Item("x", "X")], tarfile.GNU_FORMAT)
    header = bytearray(plain[:512])
    # In base 256, as for what is larger than 8 GiB (tar(5)).
    header[124:136] = b"\x80" + (1 << 62).to_bytes(11)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    image(here / "A", plain)
    image(here / "B", bytes(header) + plain[512:])
    assert main(["A", "B"]) == 1
    assert "Different: " in capsys.readouterr().out


def test_report_that_cannot_be_printed_is_no_difference(here: Path) -> None:
    image(here / "A", ITEMS)
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rules.diff", "A", "A"],
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    reason = "[Errno 28] No space left on device"
    assert done.stderr == f"ERROR: the report could not be printed: {reason}\n"


@pytest.mark.parametrize("form", [[], ["--json"], ["--html", "page.html"]])
def test_names_of_files_write_nothing_else_on_a_terminal(here: Path, form: list[str]) -> None:
    image(here / "A", ITEMS)
    image(here / "B", [*ITEMS, Item("x/\x1b[2Jred\nThe same.", "x")])
    layout = Layout(here / "C")
    layout.finish(layout.image([tar([*ITEMS, Item("caf\udce9", "x")], tarfile.GNU_FORMAT)]))
    for other in ("B", "C"):
        done = subprocess.run(
            [sys.executable, "-m", "rules.diff", "A", other, *form],
            env={**os.environ, "PYTHONPATH": ":".join(sys.path), "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (1, b"")
        page = here / "page.html"
        assert "\x1b" not in done.stdout.decode() + (page.read_text() if page.exists() else "")
        assert b"\nThe same." not in done.stdout


def test_layer_that_is_not_what_the_config_says_is_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image(here / "A", ITEMS)
    image(here / "B", ITEMS[:2], config={"rootfs": {"diff_ids": [f"sha256:{'0' * 64}"]}})
    assert "the config says diff ID sha256:000" in refused(capsys, "A", "B")


def test_layer_that_the_config_lacks_is_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image(here / "A", ITEMS)
    image(here / "B", ITEMS, ITEMS, config={"rootfs": {"diff_ids": [f"sha256:{'0' * 64}"]}})
    assert "the manifest has 2 layers, the config's rootfs.diff_ids 1" in refused(capsys, "A", "B")


def test_broken_compression_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image(here / "A", ITEMS)
    image(here / "B", ITEMS[:2], compress=lambda plain: packed(plain)[:60])
    assert "ends too early" in refused(capsys, "A", "B")


def test_torn_docker_archive_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image(here / "A", ITEMS)
    docker_archive(here / "B.tar", packed(tar(ITEMS)), config=b"{}")
    assert "is torn" in refused(capsys, "A", "B.tar")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.mkdir(), "it has no file oci-layout"),
        (lambda path: path.write_text("hello"), "expected an archive of an image"),
        (lambda path: path.write_bytes(tar(ITEMS)), "neither index.json (OCI) nor manifest.json"),
        (lambda path: path.write_bytes(tar(ITEMS)[:700]), "expected an archive"),
        (
            lambda path: (image(path, ITEMS) / "index.json").write_text("{"),
            "expected JSON",
        ),
        (
            lambda path: (image(path, ITEMS) / "index.json").write_text("{}"),
            "names no image",
        ),
        (lambda path: (image(path, ITEMS) / "oci-layout").write_text("{}"), "1.0.0, got"),
        (lambda _: None, "it is no reference"),
    ],
)
def test_what_is_no_image_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], object], said: str
) -> None:
    image(here / "A", ITEMS)
    make(here / "B")
    assert said in refused(capsys, "A", "B")


def test_folder_above_a_layout_gets_a_hint(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image(here / "out/image", ITEMS)
    assert "out/image is one" in refused(capsys, "out", "out/image")


def test_nothing_is_left_in_the_temporary_folder(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(here / "tmp"))
    image(here / "A", ITEMS)
    image(here / "B", ITEMS[:2], compress=lambda plain: packed(plain)[:60])
    refused(capsys, "A", "B")
    assert list((here / "tmp").iterdir()) == []


# Registries.


def test_image_in_a_registry_is_read_and_equal_layers_are_not_fetched(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = [Item(f"base/{name}", "1") for name in "abcd"]
    image(here / "A", base, ITEMS)
    image(here / "B", base, [*ITEMS[:-1], Item("x/d", "D")])
    asked: list[str] = []
    with registry(here / "B", asked) as place:
        assert main([f"--crane={CRANE}", "A", f"{place}/todo:latest"]) == 1
    assert "/x/d: line 1" in capsys.readouterr().out
    # The config and the layer that differs.
    assert len({each for each in asked if "/blobs/" in each}) == 2


def test_index_in_a_registry_is_read(here: Path) -> None:
    layout = Layout(here / "A")
    images = [layout.image([tar(ITEMS)], architecture=each) for each in ("amd64", "arm64")]
    layout.finish(layout.index(images))
    with registry(here / "A") as place:
        assert main([f"--crane={CRANE}", "A", f"{place}/todo:latest"]) == 0


def test_unknown_tag_is_said_to_be_that(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image(here / "A", ITEMS)
    with registry(here / "A") as place:
        said = refused(capsys, f"--crane={CRANE}", "A", f"{place}/todo:other")
    assert "there is no such image" in said


def test_registry_that_is_down_is_said_to_be_that(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image(here / "A", ITEMS)
    with registry(here / "A") as place:
        pass
    assert "the registry is down" in refused(capsys, f"--crane={CRANE}", "A", f"{place}/todo:1")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("dial tcp 127.0.0.1:40453: connect: connection refused", "the registry is down"),
        ("lookup 401.example: no such host", "the registry is down"),
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "its certificate is not trusted",
        ),
        ("unexpected status code 404 Not Found: a page", "there is no such image"),
        ("MANIFEST_UNKNOWN: manifest unknown", "there is no such image"),
        ("unexpected status code 401 Unauthorized", "the registry refuses"),
        ("DENIED: requested access to the resource is denied", "the registry refuses"),
        ("unexpected status code 500 Internal Server Error", "Error: "),
    ],
)
def test_what_crane_says_is_not_taken_for_what_the_reference_says(said: str, meant: str) -> None:
    reference = f"127.0.0.1:40453/certificate@sha256:{'4' * 3}{'401403404' * 6}"
    text = f"Error: fetching manifest {reference}: Get https://{reference}: {said}"
    assert advice(text).startswith(meant)


def test_missing_crane_says_where_it_comes_from(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    image(here / "A", ITEMS)
    assert "apt-get install crane" in refused(capsys, "A", "example.test/todo:1")


# Programs that may be there.


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_diffoscope_is_asked_about_what_nothing_here_knows(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program(here / "bin", "diffoscope", "echo deep content of $4; exit 1")
    monkeypatch.setenv("PATH", f"{here}/bin:{os.environ['PATH']}")
    image(here / "A", [*ITEMS, Item("x.bin", b"\0\1\2")])
    image(here / "B", [*ITEMS, Item("x.bin", b"\0\1\3")])
    assert main(["A", "B"]) == 1
    assert "deep content of B/x.bin" in capsys.readouterr().out
    assert main(["A", "B", "--no-diffoscope"]) == 1
    assert "deep content" not in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
def test_zstd_is_unpacked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def zstd(plain: bytes) -> bytes:
        return subprocess.run(["zstd", "-qc"], input=plain, capture_output=True, check=True).stdout

    image(here / "A", ITEMS, compress=zstd)
    image(here / "B", [*ITEMS[:-1], Item("x/d", "D")], compress=zstd)
    assert main(["A", "B"]) == 1
    assert "/x/d: line 1" in capsys.readouterr().out
