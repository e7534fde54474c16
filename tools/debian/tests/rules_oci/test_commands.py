"""What `bazel run` does with an oci_push or oci_load target, seen from outside."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.debian.tests.rules_oci.registry import Registry

FOLDER = Path(__file__).parent
GOLDEN: dict[str, dict[str, str]] = json.loads((FOLDER / "golden.json").read_text())

# An engine that keeps what it is given, be it a file or its standard input.
ENGINE = """#!/bin/sh
[ "$1" = version ] && exit
[ "$1" = load ] || exit 9
shift
if [ "$1" = --input ]; then cat "$2"; else cat; fi > {output}
"""


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as registry:
        yield registry


def run(name: str, *arguments: str, path: str = "/usr/bin:/bin", home: Path) -> int:
    """Runs a target's executable as a person with an empty home would."""
    program = Path(os.environ[f"{name.upper()}_PROGRAM"]).absolute()
    environment = {
        "HOME": str(home),
        "PATH": path,
        # Bazel's convention for programs that are among the data of another.
        "RUNFILES_DIR": os.environ["RUNFILES_DIR"],
        "TMPDIR": str(home),
    }
    return subprocess.call([program, *arguments], env=environment)


def test_push_puts_the_index_under_its_digest_and_then_its_tags(
    registry: Registry, tmp_path: Path
) -> None:
    repository = f"{registry.host}/team/app"

    code = run("push", "--repository", repository, "--tag", "extra", "--insecure", home=tmp_path)

    assert code == 0
    digest = GOLDEN["index"]["digest"]
    assert registry.writes[-3:] == [digest, "extra", "set-by-target"]
    for name in (digest, "extra", "set-by-target"):
        content = registry.manifests[name][1]
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digest


def test_push_brings_every_blob_of_every_image(registry: Registry, tmp_path: Path) -> None:
    assert run("push", f"--repository={registry.host}/app", home=tmp_path) == 0

    for image in json.loads(registry.manifests[GOLDEN["index"]["digest"]][1])["manifests"]:
        manifest = json.loads(registry.manifests[image["digest"]][1])
        for blob in (manifest["config"], *manifest["layers"]):
            assert blob["digest"] in registry.blobs


def test_push_without_a_repository_fails(tmp_path: Path) -> None:
    assert run("push", home=tmp_path) == 1


def test_load_gives_the_engine_an_archive_with_the_image_and_its_tags(tmp_path: Path) -> None:
    output = tmp_path / "loaded.tar"
    engine = tmp_path / "bin/docker"
    engine.parent.mkdir()
    engine.write_text(ENGINE.format(output=output))
    engine.chmod(0o755)

    assert run("load", path=f"{engine.parent}:/usr/bin:/bin", home=tmp_path) == 0

    with tarfile.open(fileobj=io.BytesIO(output.read_bytes())) as archive:
        files = {entry.name: archive.extractfile(entry) for entry in archive}
        manifest = files["manifest.json"]
        assert manifest
        (entry,) = json.load(manifest)
        assert entry["RepoTags"] == ["example/app:one", "example/app:two"]
        config = files[entry["Config"]]
        assert config
        assert json.load(config)["config"]["WorkingDir"] == "/app"


def test_load_without_an_engine_fails(tmp_path: Path) -> None:
    # The interpreter's start needs a few programs, none of which is an engine.
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "cat", "dirname", "env", "python3", "readlink", "sh", "uname"):
        for place in ("/usr/bin", "/bin"):
            if Path(place, name).exists() and not (folder / name).exists():
                (folder / name).symlink_to(Path(place, name))

    assert run("load", path=str(folder), home=tmp_path) == 1
