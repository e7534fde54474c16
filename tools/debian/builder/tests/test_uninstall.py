"""`tools/bazel --uninstall` leaves nothing behind, and touches nothing else."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.debian.builder import uninstall
from tools.debian.builder.error import BuilderError

SLEEP = "import sys, time; print(flush=True); time.sleep(60)"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    made = tmp_path / "cache/bazel-debian"
    (made / "builder/0123/usr").mkdir(parents=True)
    (made / "output/4567/external").mkdir(parents=True)
    (made / "output/4567/external/file").write_text("text")
    return made


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    made = tmp_path / "checkout"
    made.mkdir()
    return made


def test_it_removes_the_folders_that_may_not_be_written(cache: Path, checkout: Path) -> None:
    (cache / "output/4567/external").chmod(0o555)
    (cache / "output/4567").chmod(0o555)

    said = uninstall.uninstall(cache, checkout)

    assert said.startswith(f"removed {cache}, ")
    assert not cache.exists()
    assert cache.parent.is_dir()


def test_it_removes_the_links_of_the_checkout_into_the_cache_and_no_others(
    cache: Path, checkout: Path, tmp_path: Path
) -> None:
    (checkout / "bazel-bin").symlink_to(cache / "output/4567")
    (checkout / "bazel-mine").symlink_to(tmp_path)
    (checkout / "bazel-notes").write_text("text")

    uninstall.uninstall(cache, checkout)

    assert sorted(path.name for path in checkout.iterdir()) == ["bazel-mine", "bazel-notes"]


def test_what_a_link_in_the_cache_leads_to_stays(cache: Path, checkout: Path) -> None:
    (checkout / "source.py").write_text("text")
    (cache / "output/4567/execroot").symlink_to(checkout)

    uninstall.uninstall(cache, checkout)

    assert (checkout / "source.py").read_text() == "text"


def test_a_cache_that_is_a_link_goes_with_what_it_leads_to(
    cache: Path, checkout: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    cache.rename(disk)
    cache.symlink_to(disk)
    (checkout / "bazel-out").symlink_to(disk / "output/4567")

    uninstall.uninstall(cache, checkout)

    assert not disk.exists()
    assert not cache.is_symlink()
    assert not list(checkout.iterdir())


def test_nothing_to_remove_is_no_error(tmp_path: Path, checkout: Path) -> None:
    (checkout / "bazel-bin").symlink_to(tmp_path / "none/output")

    said = uninstall.uninstall(tmp_path / "none", checkout)

    assert said == f"{tmp_path}/none does not exist: nothing to remove"
    assert not list(checkout.iterdir())


def server(cache: Path, *arguments: str) -> "subprocess.Popen[str]":
    """A process that an output base takes for its server."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEP, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    (cache / "output/4567/server").mkdir()
    (cache / "output/4567/server/server.pid.txt").write_text(str(process.pid))
    return process


def test_it_ends_the_servers_first(cache: Path, checkout: Path) -> None:
    with server(cache, "bazel(main)", f"--output_base={cache}/output/4567") as process:
        uninstall.uninstall(cache, checkout)

        assert process.wait(10) == -15


def test_another_process_of_the_servers_number_lives_on(cache: Path, checkout: Path) -> None:
    with server(cache, "something else") as process:
        uninstall.uninstall(cache, checkout)

        assert process.poll() is None
        process.kill()


def test_a_number_that_is_none_is_no_server(cache: Path, checkout: Path) -> None:
    (cache / "output/4567/server").mkdir()
    (cache / "output/4567/server/server.pid.txt").write_text("rubbish")

    uninstall.uninstall(cache, checkout)

    assert not cache.exists()


def test_while_a_root_is_being_made_nothing_is_removed(cache: Path, checkout: Path) -> None:
    with (cache / "builder/89ab.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(BuilderError, match="is making the builder root"):
            uninstall.uninstall(cache, checkout)

    assert (cache / "output/4567/external/file").exists()


def test_where_something_is_mounted_nothing_is_removed(
    cache: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mounted = f"{cache}/builder/0123/proc"
    table = tmp_path / "mounts"
    table.write_text(f"proc {mounted} proc rw 0 0\n")
    monkeypatch.setattr(uninstall, "_MOUNTS", table)

    with pytest.raises(BuilderError, match=f"{mounted} is mounted"):
        uninstall.uninstall(cache, checkout)

    assert (cache / "builder/0123").is_dir()


def test_the_command_takes_nothing_else(tmp_path: Path) -> None:
    done = subprocess.run(
        ["tools/bazel", "--uninstall", "all"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.defpath, "XDG_CACHE_HOME": str(tmp_path)},
    )

    assert done.returncode == 1
    assert "--uninstall: expected nothing after it, got all" in done.stderr
