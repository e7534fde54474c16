"""The program that renders the manifests refuses what would not be pinned."""

import os
from pathlib import Path

import pytest

from deploy.definition import KEYS, DefinitionError
from deploy.render import Pin, RenderError, kustomization, places, render

DIGEST = "sha256:" + "a" * 64
SERVICE = dict.fromkeys(KEYS, "") | {"service": "app"}
DEPLOYMENT = """\
apiVersion: v1
kind: Pod
metadata:
  name: one
spec:
  containers:
    - name: one
      image: {image}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: ${{service}}-migrate
spec: {{}}
"""

NAMES = ("kustomization.yaml", "pod.yaml")


@pytest.fixture
def kubectl() -> Path:
    return Path(os.environ["KUBECTL"]).absolute()


def overlay(folder: Path, image: str) -> dict[str, Path]:
    (folder / "overlay").mkdir()
    (folder / "overlay/kustomization.yaml").write_text("resources: [pod.yaml]\n")
    (folder / "overlay/pod.yaml").write_text(DEPLOYMENT.format(image=image))
    return {f"overlay/{name}": folder / "overlay" / name for name in NAMES}


def test_an_image_becomes_repository_and_digest(tmp_path: Path, kubectl: Path) -> None:
    pin = Pin("app", "registry.example/app", DIGEST)

    text = render(kubectl, overlay(tmp_path, "app"), "overlay", SERVICE, [pin])

    assert f"image: registry.example/app@{DIGEST}\n" in text
    assert "name: app-migrate-aaaaaaaaaaaa\n" in text


def test_an_image_that_no_digest_is_known_of_is_refused(tmp_path: Path, kubectl: Path) -> None:
    pin = Pin("app", "registry.example/app", DIGEST)

    with pytest.raises(RenderError, match=r"expected every image pinned.*other:latest"):
        render(kubectl, overlay(tmp_path, "other:latest"), "overlay", SERVICE, [pin])


def test_a_digest_that_nothing_uses_is_refused(tmp_path: Path, kubectl: Path) -> None:
    pins = [Pin("app", "registry.example/app", DIGEST), Pin("b", "registry.example/b", DIGEST)]

    with pytest.raises(RenderError, match=r"expected the manifests to use .*example/b@"):
        render(kubectl, overlay(tmp_path, "app"), "overlay", SERVICE, pins)


def test_what_kustomize_says_reaches_the_reader(tmp_path: Path, kubectl: Path) -> None:
    sources = overlay(tmp_path, "app")
    sources["overlay/kustomization.yaml"].write_text("resources: [absent.yaml]\n")

    with pytest.raises(RenderError, match=r"absent\.yaml"):
        render(kubectl, sources, "overlay", SERVICE, [Pin("app", "registry.example/app", DIGEST)])


def test_a_key_that_no_definition_has_is_named_with_its_line(tmp_path: Path, kubectl: Path) -> None:
    sources = overlay(tmp_path, "${image}")

    with pytest.raises(DefinitionError, match=r"pod\.yaml:8: .*\$\{service\}.*got 'image: \$\{"):
        render(kubectl, sources, "overlay", SERVICE, [])


def test_an_overlay_that_is_not_there_is_refused_with_those_that_are(
    tmp_path: Path, kubectl: Path
) -> None:
    with pytest.raises(RenderError, match="expected an overlay, one of overlay, got overlays/x"):
        render(kubectl, overlay(tmp_path, "app"), "overlays/x", SERVICE, [])


def test_two_files_for_one_place_are_refused() -> None:
    with pytest.raises(RenderError, match="kubernetes/base/a is both x/a and y/a"):
        places(["base/a=x/a", "base/a=y/a"])


@pytest.mark.parametrize(
    ("repository", "digest", "message"),
    [
        ("registry.example/app", "sha256:abc", "64 hex digits"),
        ("registry.example/app:v1", DIGEST, "without tag"),
        ("Registry Example", DIGEST, "without tag"),
        ("app", DIGEST, "without tag"),
    ],
)
def test_a_pin_that_is_none_is_refused(
    tmp_path: Path, repository: str, digest: str, message: str
) -> None:
    file = tmp_path / "digest"
    file.write_text(digest)

    with pytest.raises(RenderError, match=message):
        Pin.parse(f"app={repository}={file}")


def test_a_registry_may_have_a_port_and_a_path(tmp_path: Path) -> None:
    file = tmp_path / "digest"
    file.write_text(DIGEST + "\n")

    pin = Pin.parse(f"app=registry.example:5000/team-a/app={file}")

    assert pin == Pin("app", "registry.example:5000/team-a/app", DIGEST)


def test_the_migration_is_named_after_the_first_image() -> None:
    pins = [Pin("a", "h.example/a", DIGEST), Pin("b", "h.example/b", "sha256:" + "b" * 64)]

    assert "app-migrate-aaaaaaaaaaaa" in str(kustomization("../base", "app", pins))
