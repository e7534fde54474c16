"""The pipelines for GitHub and GitLab fit their schemas, and keep the rules of docs/ci.md."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

FILES = [Path(name) for name in os.environ["PIPELINES"].split()]
WORKFLOWS = [file for file in FILES if ".github" in file.parts]
(GITLAB,) = [file for file in FILES if file.name == ".gitlab-ci.yml"]
PINNED = re.compile(r"[\w./-]+@[0-9a-f]{40}")
# Lines that fit a screen.
_SCREEN = 24


def read(file: Path) -> Mapping[Any, Any]:
    document: Mapping[Any, Any] = yaml.safe_load(file.read_text())
    return document


def jobs(file: Path) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = read(file)["jobs"]
    return found


def steps() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for file in WORKFLOWS:
        for name, job in jobs(file).items():
            for step in job["steps"]:
                yield f"{file.name}: {name}", step


def check(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_a_pipeline_for_building_updating_and_releasing() -> None:
    assert sorted(file.name for file in WORKFLOWS) == ["build.yml", "release.yml", "update.yml"]


def test_workflows_fit_the_schema_of_github() -> None:
    check("--builtin-schema=vendor.github-workflows", *map(str, WORKFLOWS))


def test_the_pipeline_fits_the_schema_of_gitlab() -> None:
    check("--builtin-schema=vendor.gitlab-ci", "--data-transform=gitlab-ci", str(GITLAB))


def test_actions_are_pinned_by_commit() -> None:
    used = [(place, step["uses"]) for place, step in steps() if "uses" in step]

    assert used
    assert [each for each in used if not PINNED.fullmatch(each[1])] == []


@pytest.mark.parametrize("file", WORKFLOWS, ids=str)
def test_a_workflow_may_read_at_most_and_its_jobs_end(file: Path) -> None:
    assert read(file)["permissions"] in ({}, {"contents": "read"})
    assert [name for name, job in jobs(file).items() if "timeout-minutes" not in job] == []


def test_only_who_pushes_may_write() -> None:
    writers = {
        (file.name, name)
        for file in WORKFLOWS
        for name, job in jobs(file).items()
        if "write" in job.get("permissions", {}).values()
    }

    assert writers == {
        ("release.yml", "publish"),
        ("release.yml", "rebuild"),
        ("update.yml", "update"),
    }


def test_scripts_are_short_and_nothing_is_pasted_into_them() -> None:
    scripts = [(place, step["run"]) for place, step in steps() if "run" in step]
    pipeline = read(GITLAB)
    scripts += [
        (name, "\n".join(job.get("script", [])))
        for name, job in pipeline.items()
        if isinstance(job, dict)
    ]

    assert [place for place, text in scripts if len(text.splitlines()) > _SCREEN] == []
    assert [place for place, text in scripts if "${{" in text] == []


def test_a_secret_is_in_the_environment_of_one_step_alone() -> None:
    for file in WORKFLOWS:
        document = read(file)
        assert "secrets." not in str(document.get("env", ""))
        for job in document["jobs"].values():
            assert "secrets." not in str(job.get("env", ""))


def test_who_rebuilds_has_a_key_of_its_own_and_not_that_of_who_publishes() -> None:
    (release,) = [file for file in WORKFLOWS if file.name == "release.yml"]
    secrets = {
        name: set(re.findall(r"secrets\.(\w+)", str(job))) for name, job in jobs(release).items()
    }

    assert secrets == {
        "publish": {"COSIGN_KEY", "COSIGN_PASSWORD"},
        "rebuild": {"REBUILD_KEY", "REBUILD_PASSWORD"},
    }
    assert jobs(release)["publish"]["environment"] == "release"
    assert jobs(release)["rebuild"]["environment"] == "rebuild"
    pipeline = read(GITLAB)
    assert (pipeline["publish"]["environment"], pipeline["rebuild"]["environment"]) == (
        "release",
        "rebuild",
    )
    assert "$COSIGN_KEY" not in str(pipeline["rebuild"])


def test_the_digest_of_each_machine_is_compared() -> None:
    (build,) = [file for file in WORKFLOWS if file.name == "build.yml"]

    assert jobs(build)["compare"]["needs"] == ["debian", "bazelisk", "arm64"]
    assert read(GITLAB)["compare"]["needs"] == ["debian", "bazelisk", "arm64"]


def test_caches_follow_the_locks() -> None:
    keys = [step["with"]["key"] for _, step in steps() if "actions/cache" in step.get("uses", "")]

    assert keys
    assert all("hashFiles(" in key for key in keys)
