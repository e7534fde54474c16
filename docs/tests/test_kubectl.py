"""The pages' commands of kubectl, as far as they go without a cluster."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

PAGES = [Path(name) for name in os.environ["PAGES"].split() if name.endswith(".md")]
KUBECTL = Path(os.environ["KUBECTL"]).absolute()
FULL = Path(os.environ["FULL"]).absolute()
# What a command makes a Secret of, besides the examples.
FILES = ("a.pub", "b.pub", "c.pub", "cosign.pub", "database-url", "key", "local/secrets/api-keys")


def commands() -> list[str]:
    """Every whole command of a page; a verb alone is a word of a sentence."""
    found: set[str] = set()
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        for command in re.findall(r"kubectl ([a-z][^`|\n]*)", text):
            found.add(" ".join(command.split()))
    return sorted(command for command in found if " --" in command or "/" in command)


def kubectl(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [KUBECTL, *words],
        cwd=folder,
        env={"HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def documents(text: str) -> list[dict[str, object]]:
    """JSON documents that stand one after the other."""
    decoder, found = json.JSONDecoder(), []
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


@pytest.mark.parametrize("command", commands())
def test_it_has_the_verb_and_the_options(command: str, tmp_path: Path) -> None:
    words = shlex.split(command.partition(" -- ")[0])
    done = kubectl([*words, "--help"], tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [one for one in commands() if one.startswith("create ")])
def test_it_makes_what_it_says(command: str, tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a")
    words = [*shlex.split(command), "--dry-run=client", "--output=json"]
    done = kubectl(words, tmp_path)
    assert done.returncode == 0, done.stderr
    [made] = documents(done.stdout)
    assert str(made["kind"]).lower() == words[1]
    assert made.get("data") or made["kind"] == "Namespace"


@pytest.mark.parametrize("command", [one for one in commands() if "--filename=bazel-bin" in one])
def test_it_takes_the_manifests_without_a_cluster(command: str, tmp_path: Path) -> None:
    (tmp_path / "bazel-bin/deploy").mkdir(parents=True)
    (tmp_path / "bazel-bin/deploy/full.yaml").symlink_to(FULL)
    done = kubectl(shlex.split(command), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "PrometheusRule" in {one["kind"] for one in documents(done.stdout)}
