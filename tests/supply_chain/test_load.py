"""`//image:load` with the real podman: the image starts from it, and what is there is kept."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from deploy import definition
from tests.container import probe
from tests.container.namespaces import Identity
from tests.kubernetes.podman import Podman, podman_below

LOAD = Path(os.environ["LOAD"])
IMAGE = Path(os.environ["IMAGE"])
# Of the adapter of rules_oci; the original has another. Bazel 8 writes + where 7 writes ~.
PROGRAM = next(Path(os.environ["RUNFILES_DIR"]).glob("rules_oci[~+]/oci/private/load"), None)
SERVICE = definition.read(Path(os.environ["SERVICE"]))
READY = f"http://127.0.0.1:{SERVICE['port']}{SERVICE['ready_path']}"
NAME = "localhost/changed:latest"


@pytest.fixture(scope="module")
def podman(identity: Identity, scratch: Path) -> Iterator[Podman]:
    with podman_below(scratch, identity) as made:
        yield made


@pytest.fixture(scope="module")
def loaded(podman: Podman) -> str:
    """The name that the image was loaded under."""
    return load(podman, str(LOAD))


def load(podman: Podman, *command: str) -> str:
    done = subprocess.run(
        command, env=os.environ | podman.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # Podman says which name it loaded.
    return done.stdout.strip().rpartition(" ")[2]


def layers(folder: Path) -> dict[str, int]:
    """The sizes of the layers that podman has stored, in bytes, by their names."""
    images = folder / "podman/images"
    stored = json.loads((images / "overlay-layers/layers.json").read_bytes())
    return {layer["id"]: size(images / "overlay" / layer["id"] / "diff") for layer in stored}


def size(folder: Path) -> int:
    """The bytes of all files of a folder."""
    return sum(each.lstat().st_size for each in folder.rglob("*") if not each.is_dir())


def changed(folder: Path) -> Path:
    """The image with one more line in one of the service's own files."""
    copied = folder / "changed"
    shutil.copytree(IMAGE, copied, copy_function=shutil.copyfile)
    for each in [copied, *copied.rglob("*")]:
        each.chmod(0o755 if each.is_dir() else 0o644)

    def blob(digest: str) -> Path:
        return copied / "blobs" / digest.replace(":", "/", 1)

    def written(content: bytes, before: dict[str, Any]) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        blob(digest).write_bytes(content)
        return before | {"digest": digest, "size": len(content)}

    index = json.loads((copied / "index.json").read_bytes())
    manifest = json.loads(blob(index["manifests"][0]["digest"]).read_bytes())
    config = json.loads(blob(manifest["config"]["digest"]).read_bytes())
    *_, last = manifest["layers"]
    plain = one_line_more(gzip.decompress(blob(last["digest"]).read_bytes()))
    manifest["layers"][-1] = written(gzip.compress(plain, mtime=0), last)
    config["rootfs"]["diff_ids"][-1] = f"sha256:{hashlib.sha256(plain).hexdigest()}"
    manifest["config"] = written(json.dumps(config).encode(), manifest["config"])
    index["manifests"][0] = written(json.dumps(manifest).encode(), index["manifests"][0])
    (copied / "index.json").write_text(json.dumps(index))
    return copied


def one_line_more(layer: bytes) -> bytes:
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(layer)) as source,
        tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as target,
    ):
        for entry in source:
            file = source.extractfile(entry)
            content = file.read() if file else b""
            if entry.name.endswith(f"/{SERVICE['module']}/__init__.py"):
                content += b"# One more line.\n"
                entry.size = len(content)
            target.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def test_the_image_starts_from_what_podman_loaded(podman: Podman, loaded: str) -> None:
    hardened = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    mine = ["--name=service", "--tmpfs=/tmp", "--network=host"]
    podman.run("run", "--detach", *hardened, *mine, loaded)
    podman.until(lambda: probe.status(READY) == HTTPStatus.OK, "ready", "service")

    podman.run("stop", "--time=35", "service")

    assert podman.inspect("service")["State"]["ExitCode"] == 0


def test_a_second_load_stores_nothing(podman: Podman, loaded: str, scratch: Path) -> None:
    before = layers(scratch)

    assert load(podman, str(LOAD)) == loaded

    assert layers(scratch) == before


@pytest.mark.skipif(PROGRAM is None, reason="the program is the adapter's of rules_oci")
def test_after_a_change_of_one_line_only_the_last_layer_is_stored(
    podman: Podman, loaded: str, scratch: Path, tmp_path: Path
) -> None:
    before = layers(scratch)
    image = changed(tmp_path)
    (tmp_path / "tags.txt").write_text(f"{NAME}\n")
    settings = {"format": "docker", "image": image.name, "repo_tags": "tags.txt"}
    (tmp_path / "settings.json").write_text(json.dumps(settings))

    assert load(podman, str(PROGRAM), str(tmp_path), "settings.json") == NAME

    stored = {name: size for name, size in layers(scratch).items() if name not in before}
    assert len(stored) == 1
    assert sum(stored.values()) < 1_000_000
