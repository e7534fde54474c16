"""Builds in a clone are counted as Bazel counts them, and end with whoever asked for them."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.remote.clone import BazelError, Build, Clone

# Stands in for Bazel: writes the events, and does what a file of the checkout says.
BAZEL = """#!/bin/sh
for word; do
    case $word in --build_event_json_file=*) cp events.json "${word#*=}" ;; esac
done
echo "called $*"
. ./behaviour
"""


def clone_of(tmp_path: Path, behaviour: str = "", **runners: int) -> Clone:
    workspace = tmp_path / "workspace"
    (workspace / "tools").mkdir(parents=True)
    (workspace / "tools/bazel").write_text(BAZEL)
    (workspace / "tools/bazel").chmod(0o755)
    (workspace / "behaviour").write_text(behaviour)
    counts = [{"name": name.replace("_", " "), "count": count} for name, count in runners.items()]
    metrics = {"buildMetrics": {"actionSummary": {"runnerCount": counts}}}
    (workspace / "events.json").write_text(f'{{"id": {{}}}}\n{json.dumps(metrics)}\n')
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "First"]):
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *command], cwd=workspace, check=True)
    return Clone(workspace, tmp_path / "clone", tmp_path / "output")


def test_actions_are_counted_by_what_ran_them(tmp_path: Path) -> None:
    clone = clone_of(tmp_path, total=30, internal=20, remote=1, remote_cache_hit=9)
    build = clone.build("//image")
    assert build.runners == {"remote": 1, "remote cache hit": 9}
    assert build.spawns == 10
    assert build.share("remote cache hit") == 0.9
    assert build.share("linux-sandbox") == 0.0


def test_a_build_of_nothing_hits_no_cache() -> None:
    assert Build(1.0, {}).share("remote cache hit") == 0.0


def test_no_cache_of_the_persons_own_serves(tmp_path: Path) -> None:
    clone = clone_of(tmp_path, behaviour="exit 1")
    with pytest.raises(BazelError) as raised:
        clone.build("--config=remote", "//image")
    said = str(raised.value)
    assert said.index("--disk_cache= --remote_cache= ") < said.index("--config=remote")


def test_a_failure_shows_what_bazel_said(tmp_path: Path) -> None:
    clone = clone_of(tmp_path, behaviour="echo wrong; exit 1")
    with pytest.raises(BazelError, match="wrong"):
        clone.build("//image")


def test_a_build_that_nobody_waits_for_is_interrupted(tmp_path: Path) -> None:
    behaviour = "trap 'touch interrupted; exit 8' TERM; touch begun; while :; do sleep 0.05; done"
    clone = clone_of(tmp_path, behaviour=behaviour)
    begun = clone.folder / "begun"
    with pytest.raises(KeyboardInterrupt), clone.building("//image") as running:
        while not begun.exists():
            assert not running.over
        raise KeyboardInterrupt
    assert (clone.folder / "interrupted").exists()
    assert running.over


def test_a_build_that_is_being_started_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def interrupted(*words: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*words, **options))
        signal.raise_signal(signal.SIGINT)
        return started[0]

    clone = clone_of(tmp_path, behaviour="exec sleep 600")
    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        clone.build("//image")
    assert started[0].poll() is not None
