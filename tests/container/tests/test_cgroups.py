"""Control groups of both versions are found and limited."""

import os
import signal
from pathlib import Path

import pytest

from tests.container import cgroups
from tests.container.cgroups import Cgroups
from tests.container.needs import NeedError


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """What version 1 looks like."""
    for name in ("cpu", "memory", "pids", "unified"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """What version 2 looks like."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    return tmp_path


def test_the_version_is_told_by_the_controllers_file(first: Path) -> None:
    assert cgroups.version(first) == 1

    (first / "cgroup.controllers").touch()

    assert cgroups.version(first) == 2


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".", 1)).write_text(content)


def test_reads_limits_of_version_1(first: Path) -> None:
    groups = Cgroups(1, first)
    path = groups.path.lstrip("/")
    write(first / "memory" / path / "c", memory_limit_in_bytes="4096\n")
    write(first / "memory" / path / "c", memory_usage_in_bytes="100\n")
    write(first / "memory" / path / "c", memory_oom_control="oom_kill_disable 0\noom_kill 3\n")
    write(first / "pids" / path / "c", pids_max="7\n")
    write(first / "cpu" / path / "c", cpu_cfs_quota_us="50000\n", cpu_cfs_period_us="100000\n")
    write(first / "cpu" / path / "c", cpu_stat="nr_periods 9\nnr_throttled 5\n")

    assert groups.memory_limit("c") == 4096
    assert groups.memory_used("c") == 100
    assert groups.kills("c") == 3
    assert groups.throttled("c") == 5
    assert groups.pids_limit("c") == 7
    assert groups.cpus("c") == 0.5


def test_reads_limits_of_version_2(second: Path) -> None:
    groups = Cgroups(1, second)
    folder = second / groups.path.lstrip("/") / "c"
    write(folder, memory_max="4096\n", memory_current="100\n", memory_events="oom 4\noom_kill 3\n")
    write(folder, pids_max="7\n", cpu_max="50000 100000\n", cpu_stat="nr_throttled 5\n")

    assert groups.memory_limit("c") == 4096
    assert groups.memory_used("c") == 100
    assert groups.kills("c") == 3
    assert groups.throttled("c") == 5
    assert groups.pids_limit("c") == 7
    assert groups.cpus("c") == 0.5


def test_its_groups_are_gone_at_the_end(first: Path) -> None:
    with Cgroups(1, first) as groups:
        made = first / "memory" / groups.path.lstrip("/")
        (made / "container").mkdir()

    assert not made.exists()


def test_a_missing_controller_is_named(second: Path) -> None:
    (second / "cgroup.controllers").write_text("cpu io\n")

    with pytest.raises(NeedError, match="has no controller memory, pids"), Cgroups(1, second):
        pass


def test_a_group_that_cannot_be_made_says_what_to_do(first: Path) -> None:
    groups = Cgroups(1, first)
    (first / "memory" / groups.path.lstrip("/")).touch()

    with (
        pytest.raises(
            NeedError, match=r"cannot be made: File exists\. Run as root with .* writable"
        ),
        groups,
    ):
        pass


def test_groups_of_tests_that_have_ended_are_swept_away(first: Path) -> None:
    processes = first / "proc"
    (processes / "10").mkdir(parents=True)
    alive, ended = Cgroups(10, first), Cgroups(11, first)
    for groups in (alive, ended):
        (first / "memory" / groups.path.lstrip("/") / "c").mkdir(parents=True)

    cgroups.sweep(first, processes)

    assert (first / "memory" / alive.path.lstrip("/")).exists()
    assert not (first / "memory" / ended.path.lstrip("/")).exists()


def test_what_still_runs_in_a_group_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tmp_path / "group"
    group.mkdir()
    procs = group / "cgroup.procs"
    # 0 is what the kernel shows for a process of another PID namespace.
    procs.write_text("0\n4711\n")
    killed: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        killed.append((pid, number))
        # A real group's files are not in rmdir's way, its processes are.
        procs.unlink()

    monkeypatch.setattr(os, "kill", kill)

    cgroups.remove(group)

    assert killed == [(4711, signal.SIGKILL)]
    assert not group.exists()
