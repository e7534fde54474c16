"""Images are handed to docker, podman or nerdctl as an archive that they know."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tools.debian.modules.rules_oci.oci.private import load

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Layout:
    """A layout written by hand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "blobs/sha256").mkdir(parents=True)
        (root / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def put(self, content: bytes, media_type: str = "") -> dict[str, Any]:
        name = hashlib.sha256(content).hexdigest()
        (self.root / "blobs/sha256" / name).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(content)}

    def image(self, config: bytes) -> dict[str, Any]:
        """One image whose two layers are the same."""
        layer = self.put(b"layer")
        manifest = {"config": self.put(config), "layers": [layer, layer]}
        return self.put(json.dumps(manifest).encode(), IMAGE)

    def point_to(self, descriptor: dict[str, Any]) -> Path:
        (self.root / "index.json").write_text(json.dumps({"manifests": [descriptor]}))
        return self.root


@pytest.fixture
def image(tmp_path: Path) -> Path:
    layout = Layout(tmp_path / "image")
    return layout.point_to(layout.image(b"config"))


@pytest.fixture
def index(tmp_path: Path) -> Path:
    layout = Layout(tmp_path / "index")
    content = {"manifests": [layout.image(b"config of amd64"), layout.image(b"config of arm64")]}
    return layout.point_to(layout.put(json.dumps(content).encode(), INDEX))


def archived(folder: Path, image: Path, archive_format: str, tags: str) -> bytes:
    (folder / "tags.txt").write_text(tags)
    output = folder / "output.tar"
    arguments = [
        f"--image={image}",
        f"--repo-tags={folder}/tags.txt",
        f"--format={archive_format}",
        f"--output={output}",
    ]
    assert load.main(arguments) == 0
    return output.read_bytes()


def unpacked(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        files = {}
        for entry in archive:
            file = archive.extractfile(entry)
            assert file
            assert entry.name not in files
            files[entry.name] = file.read()
        return files


def program(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def settings(folder: Path, image: Path, **changes: str) -> list[str]:
    (folder / "tags.txt").write_text("app:latest\n")
    content = {"image": image.name, "format": "docker", "repo_tags": "tags.txt"}
    (folder / "settings.json").write_text(json.dumps(content | changes))
    return [str(folder), "settings.json"]


def test_docker_archive_lists_config_tags_and_layers(tmp_path: Path, image: Path) -> None:
    files = unpacked(archived(tmp_path, image, "docker", "app:latest app:1"))

    (entry,) = json.loads(files["manifest.json"])
    assert files[entry["Config"]] == b"config"
    assert [files[layer] for layer in entry["Layers"]] == [b"layer", b"layer"]
    assert entry["RepoTags"] == ["app:latest", "app:1"]


def test_oci_archive_is_a_layout_with_a_name_for_each_tag(tmp_path: Path, index: Path) -> None:
    files = unpacked(archived(tmp_path, index, "oci", "app:latest\napp:1\n"))

    manifests = json.loads(files["index.json"])["manifests"]
    names = [manifest["annotations"]["org.opencontainers.image.ref.name"] for manifest in manifests]
    assert names == ["app:latest", "app:1"]
    blobs = {f"blobs/sha256/{path.name}" for path in (index / "blobs/sha256").iterdir()}
    assert set(files) == blobs | {"index.json", "oci-layout"}


def test_archive_does_not_depend_on_the_times_and_owners_of_files(
    tmp_path: Path, image: Path
) -> None:
    content = archived(tmp_path, image, "docker", "app:1")

    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert {(entry.mtime, entry.uid, entry.gid, entry.mode) for entry in archive} == {
            (0, 0, 0, 0o644)
        }


@pytest.mark.parametrize(("name", "archive_format"), [("index", "docker"), ("image", "oci")])
def test_image_that_the_format_cannot_hold_is_refused(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
    name: str,
    archive_format: str,
) -> None:
    layout: Path = request.getfixturevalue(name)

    assert load.main(settings(tmp_path, layout, format=archive_format, loader="cat")) == 1
    assert "ERROR: " in capsys.readouterr().err


def test_engine_gets_the_archive_on_its_standard_input(tmp_path: Path, image: Path) -> None:
    program(tmp_path, "loader", f'[ "$*" = load ] && cat > {tmp_path}/loaded.tar')

    assert load.main(settings(tmp_path, image, loader="loader")) == 0
    assert "manifest.json" in unpacked((tmp_path / "loaded.tar").read_bytes())


@pytest.mark.parametrize(
    ("there", "chosen"),
    [(["nerdctl", "podman", "docker"], "docker"), (["nerdctl", "podman"], "podman")],
)
def test_first_engine_on_the_path_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: list[str], chosen: str
) -> None:
    for name in there:
        program(tmp_path, f"bin/{name}", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    assert load.engine(None) == str(tmp_path / "bin" / chosen)


def test_engine_that_does_not_answer_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(tmp_path, "bin/docker", "echo 'Cannot connect to the daemon.' >&2; exit 1")
    program(tmp_path, "bin/nerdctl", '[ "$*" = version ]')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    assert load.engine(None) == str(tmp_path / "bin/nerdctl")
    said = "docker does not answer: Cannot connect to the daemon. Loading with nerdctl"
    assert said in capsys.readouterr().err


def test_engine_that_hangs_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "bin/docker", "exec /bin/sleep 60")
    program(tmp_path, "bin/podman", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(load, "_PATIENCE", 0.5)

    assert load.engine(None) == str(tmp_path / "bin/podman")


def test_engines_of_which_none_answers_are_an_error_that_says_how_to_choose(
    tmp_path: Path,
    image: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program(tmp_path, "bin/docker", "echo 'Cannot connect to the daemon.' >&2; exit 1")
    program(tmp_path, "bin/podman", "exit 3")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    assert load.main(settings(tmp_path, image)) == 1
    said = capsys.readouterr().err
    assert "docker does not answer: Cannot connect to the daemon; " in said
    assert "podman does not answer: exit code 3. Start it" in said


def test_a_question_of_an_engine_keeps_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "bin/docker", "echo 'No daemon. Is it running?' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    with pytest.raises(load.LoadError, match=r"No daemon\. Is it running\? Start it"):
        load.engine(None)


def test_missing_engine_is_an_error_that_names_those_that_serve(
    tmp_path: Path,
    image: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert load.main(settings(tmp_path, image)) == 1
    assert "none of docker, podman, nerdctl is on PATH" in capsys.readouterr().err


def test_exit_code_is_that_of_the_engine(tmp_path: Path, image: Path) -> None:
    program(tmp_path, "loader", "cat > /dev/null; exit 7")

    assert load.main(settings(tmp_path, image, loader="loader")) == 7


def test_engine_that_gives_up_early_is_no_crash(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "large")
    layer = layout.put(bytes(1 << 20))
    manifest = {"config": layout.put(b"config"), "layers": [layer]}
    large = layout.point_to(layout.put(json.dumps(manifest).encode(), IMAGE))
    program(tmp_path, "loader", "exit 5")

    assert load.main(settings(tmp_path, large, loader="loader")) == 5


def test_arguments_are_refused(
    tmp_path: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load.main([*settings(tmp_path, image), "--tag"]) == 1
    assert "expected no arguments, got --tag" in capsys.readouterr().err
