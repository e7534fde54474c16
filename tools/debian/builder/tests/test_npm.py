"""The npm registry is the one that npm itself would ask."""

import os
from pathlib import Path

import pytest

from tools.debian.builder import npm


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("home/me", "etc", "usr/etc"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_the_persons_file_wins_over_the_machines(machine: Path) -> None:
    (machine / "home/me/.npmrc").write_text("fund=false\nregistry = 'https://mine/'\n")
    (machine / "etc/npmrc").write_text("registry=https://all/\n")

    assert npm.registry({"HOME": "/home/me"}, machine / "kept", machine) == "https://mine/"
    assert npm.registry({"HOME": "/home/other"}, machine / "kept", machine) == "https://all/"


def test_the_environment_wins_over_files(machine: Path) -> None:
    (machine / "etc/npmrc").write_text("registry=https://all/\n")

    assert (
        npm.registry({"npm_config_registry": "https://now/"}, machine / "kept", machine)
        == "https://now/"
    )


def test_files_named_in_the_environment_stand_in_for_the_usual_ones(machine: Path) -> None:
    (machine / "etc/npmrc").write_text("registry=https://all/\n")
    (machine / "mine").write_text("registry=https://mine/\n")

    assert (
        npm.registry({"NPM_CONFIG_USERCONFIG": "/mine"}, machine / "kept", machine)
        == "https://mine/"
    )
    assert (
        npm.registry({"NPM_CONFIG_GLOBALCONFIG": "/mine"}, machine / "kept", machine)
        == "https://mine/"
    )


def test_a_registry_of_a_scope_is_not_the_registry(machine: Path) -> None:
    (machine / "etc/npmrc").write_text("@us:registry=https://ours/\n")

    assert npm.registry({"HOME": "/home/me"}, machine / "kept", machine) is None


def test_where_no_file_names_one_npm_is_asked_once(machine: Path) -> None:
    (machine / "npm").write_text("#!/bin/sh\necho https://default/\n")
    (machine / "npm").chmod(0o755)
    assert npm.registry({}, machine / "kept", machine) == "https://default/"
    (machine / "npm").unlink()

    assert npm.registry({}, machine / "kept", machine) == "https://default/"
    assert npm.registry({}, machine / "other", machine) is None


def test_two_builds_at_once_both_get_the_answer(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine / "npm").write_text("#!/bin/sh\necho https://default/\n")
    (machine / "npm").chmod(0o755)
    rename = Path.rename

    def later(beside: Path, kept: Path) -> Path:
        # The other one has asked as well, and is done first.
        if (child := os.fork()) == 0:
            monkeypatch.setattr(Path, "rename", rename)
            code = 2
            try:
                code = int(npm.registry({}, kept, machine) != "https://default/")
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        return rename(beside, kept)

    monkeypatch.setattr(Path, "rename", later)

    assert npm.registry({}, machine / "kept", machine) == "https://default/"
    assert sorted(path.name for path in machine.iterdir() if path.is_file()) == ["kept", "npm"]
