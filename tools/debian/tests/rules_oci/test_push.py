"""An image is pushed by digest first, then tagged."""

import json
from pathlib import Path

import pytest

from tools.debian.modules.rules_oci.oci.private import push

DIGEST = f"sha256:{'1' * 64}"

# Notes its arguments, leaves the reference that crane leaves, and fails at the tag "refused".
CRANE = """#!/bin/sh
echo "$@" >> {log}
while [ $# -gt 1 ]; do
    if [ "$1" = --image-refs ]; then echo example.org/app@pushed > "$2"; fi
    shift
done
[ "$1" != refused ]
"""


class Target:
    """Runfiles of an `oci_push` target with a crane that only notes what it is told."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._settings: dict[str, str] = {"crane": "crane", "image": "image"}
        (folder / "image").mkdir()
        index = {"manifests": [{"digest": DIGEST}]}
        (folder / "image/index.json").write_text(json.dumps(index))
        (folder / "crane").write_text(CRANE.format(log=folder / "log"))
        (folder / "crane").chmod(0o755)

    def set(self, **settings: str) -> None:
        self._settings |= settings

    def add(self, name: str, content: str) -> None:
        (self._folder / name).write_text(content)
        self._settings[name] = name

    def run(self, *arguments: str) -> int:
        (self._folder / "settings.json").write_text(json.dumps(self._settings))
        return push.main([str(self._folder), "settings.json", *arguments])

    def calls(self) -> list[str]:
        log = self._folder / "log"
        text = log.read_text().replace(f"{self._folder}/", "") if log.exists() else ""
        return [line.partition(" --image-refs")[0] for line in text.splitlines()]


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path)


def test_image_is_pushed_by_digest_and_then_tagged(target: Target) -> None:
    target.set(repository="example.org/app")
    target.add("remote_tags", "one\ntwo\n")

    assert target.run() == 0
    assert target.calls() == [
        f"push image example.org/app@{DIGEST}",
        "tag example.org/app@pushed one",
        "tag example.org/app@pushed two",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--repository", "localhost:5000/other", "--tag", "mine"],
        ["--repository=localhost:5000/other", "--tag=mine"],
        ["-r", "localhost:5000/other", "-t", "mine"],
    ],
)
def test_arguments_replace_the_repository_and_add_tags(
    target: Target, arguments: list[str]
) -> None:
    target.set(repository="example.org/app")
    target.add("remote_tags", "one")

    assert target.run(*arguments) == 0
    assert target.calls() == [
        f"push image localhost:5000/other@{DIGEST}",
        "tag example.org/app@pushed mine",
        "tag example.org/app@pushed one",
    ]


def test_flags_of_crane_go_to_every_call_and_others_to_the_push(target: Target) -> None:
    target.set(repository="example.org/app")

    target.run("--insecure", "-v", "--platform", "linux/amd64", "--index", "-t", "one")

    assert target.calls() == [
        f"push --insecure -v --platform linux/amd64 image example.org/app@{DIGEST} --index",
        "tag --insecure -v --platform linux/amd64 example.org/app@pushed one",
    ]


def test_repository_may_stand_in_a_file(target: Target) -> None:
    target.add("repository_file", "example.org/\napp\n")

    target.run()

    assert target.calls() == [f"push image example.org/app@{DIGEST}"]


def test_missing_repository_is_an_error_that_says_how_to_name_one(
    target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    assert target.run() == 1
    assert "bazel run TARGET -- --repository" in capsys.readouterr().err
    assert target.calls() == []


@pytest.mark.parametrize(
    "repository", ["example.org/app:latest", f"localhost:5000/app@{DIGEST}", "app@digest"]
)
def test_repository_with_tag_or_digest_is_an_error(
    target: Target, capsys: pytest.CaptureFixture[str], repository: str
) -> None:
    assert target.run("--repository", repository) == 1
    assert f"without tag or digest, got {repository}" in capsys.readouterr().err
    assert target.calls() == []


def test_flag_without_its_value_is_an_error(
    target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    assert target.run("--tag") == 1
    assert "--tag needs a value" in capsys.readouterr().err


def test_nothing_is_tagged_when_the_push_fails(target: Target) -> None:
    # The stand-in fails at its last argument.
    (target._folder / "crane").write_text("#!/bin/sh\nexit 3\n")
    target.set(repository="example.org/app")

    assert target.run("-t", "one") == 3
    assert target.calls() == []


def test_refused_tag_ends_the_run_and_is_named(
    target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    target.set(repository="example.org/app")

    assert target.run("-t", "refused", "-t", "later") == 1
    assert "is pushed, but not tagged refused" in capsys.readouterr().err
    assert len(target.calls()) == 2
