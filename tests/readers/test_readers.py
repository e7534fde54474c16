"""Other people's readers of OCI layouts accept the images and agree on their digests."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.tests import scratch

IMAGES = {name: Path(os.environ[name]) for name in ("IMAGE", "POSTGRES", "INDEX")}


def run(*command: str | Path) -> str:
    program = str(command[0])
    if not shutil.which(program):
        pytest.fail(f"{program} is missing: on Debian, apt-get install {program}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
    return done.stdout


def digest(layout: Path) -> str:
    [manifest] = json.loads((layout / "index.json").read_text())["manifests"]
    return str(manifest["digest"])


@pytest.fixture(params=["IMAGE", "POSTGRES"])
def layout(request: pytest.FixtureRequest) -> Path:
    return IMAGES[request.param]


def test_skopeo_reads_the_layout_and_finds_the_same_digest(layout: Path) -> None:
    found = json.loads(run("skopeo", "inspect", f"oci:{layout}"))

    assert found["Digest"] == digest(layout)
    assert (found["Os"], found["Architecture"]) == ("linux", "amd64")


def test_skopeo_copies_it_without_changing_the_digest(layout: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    run("skopeo", "--policy", policy, "copy", f"oci:{layout}", f"oci:{tmp_path}/copy:tag")

    assert digest(tmp_path / "copy") == digest(layout)


@pytest.fixture
def memory() -> Iterator[Path]:
    """Ten thousand files are unpacked."""
    with scratch.folder() as folder:
        yield folder


def test_umoci_unpacks_it(layout: Path, tmp_path: Path, memory: Path) -> None:
    # umoci names images by tag, and a layout that rules_oci writes has none.
    named = tmp_path / "layout"
    named.mkdir()
    for name in ("blobs", "oci-layout"):
        (named / name).symlink_to((layout / name).absolute())
    document = json.loads((layout / "index.json").read_text())
    document["manifests"][0]["annotations"] = {"org.opencontainers.image.ref.name": "tag"}
    (named / "index.json").write_text(json.dumps(document))

    # Both are what `umoci unpack` does; it also hashes each file, for `umoci repack`.
    image = ("--rootless", "--image", f"{named}:tag")
    root, config = memory / "rootfs", memory / "config.json"
    run("umoci", "raw", "unpack", *image, root)
    run("umoci", "raw", "runtime-config", *image, "--rootfs", root, config)

    assert (root / "usr/bin/python3.13").is_file()
    assert json.loads(config.read_text())["process"]["cwd"] == "/app"


def test_the_index_names_the_image_for_each_cpu() -> None:
    layout = IMAGES["INDEX"]
    blob = layout / "blobs" / digest(layout).replace(":", "/")
    manifests = json.loads(blob.read_text())["manifests"]

    assert [entry["platform"]["architecture"] for entry in manifests] == ["amd64", "arm64"]
    assert manifests[0]["digest"] == digest(IMAGES["IMAGE"])
