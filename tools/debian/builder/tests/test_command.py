"""What the person typed reaches Bazel, and signals and exit codes come back."""

import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tools.debian.builder import command, sandbox, stages, truststore
from tools.debian.builder.error import BuilderError


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["build", "//a"], ([], "build", ["//a"])),
        (["--batch", "run", "//a", "--", "-x"], (["--batch"], "run", ["//a", "--", "-x"])),
        (["--output_base", "/x", "info"], (["--output_base", "/x"], "info", [])),
        (["--output_base=/x", "info"], (["--output_base=/x"], "info", [])),
        (["--version"], (["--version"], None, [])),
        ([], ([], None, [])),
    ],
)
def test_the_command_stands_after_the_startup_options(
    typed: list[str], expected: tuple[list[str], str | None, list[str]]
) -> None:
    assert command.split(typed) == expected


def test_the_cache_follows_xdg() -> None:
    assert command.cache_folder({"XDG_CACHE_HOME": "/c", "HOME": "/h"}) == Path("/c/bazel-debian")
    assert command.cache_folder({"HOME": "/h"}) == Path("/h/.cache/bazel-debian")


def test_a_relative_xdg_folder_is_ignored_as_the_specification_wants() -> None:
    found = command.cache_folder({"XDG_CACHE_HOME": "c", "HOME": "/h"})

    assert found == Path("/h/.cache/bazel-debian")


def test_without_a_home_the_user_database_says_where_the_cache_is() -> None:
    assert command.cache_folder({}) == Path.home() / ".cache/bazel-debian"


@pytest.mark.parametrize("home", ["", "somewhere"])
def test_a_home_that_is_no_folder_is_none(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", home)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    own = Path(pwd.getpwuid(os.getuid()).pw_dir)
    assert command.cache_folder(os.environ) == own / ".cache/bazel-debian"


def test_a_user_without_any_home_is_told_of_xdg_cache_home(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown(user: int) -> NoReturn:
        raise KeyError(f"getpwuid(): uid not found: {user}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    assert command.main(["version"]) == 1

    assert "HOME is not set" in (said := capsys.readouterr().err)
    assert "Set XDG_CACHE_HOME" in said


def test_a_home_that_cannot_be_written_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # What is no folder holds no folder, for root too.
    (tmp_path / "home").touch()
    monkeypatch.setenv("HOME", f"{tmp_path}/home")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    assert command.main(["version"]) == 1

    said = capsys.readouterr().err
    assert f"{tmp_path}/home/.cache/bazel-debian cannot be written: Not a directory" in said
    assert "Set XDG_CACHE_HOME" in said


def test_the_program_may_be_called_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "a bin").mkdir()
    link = tmp_path / "a bin/bazel"
    link.symlink_to(Path("tools/bazel").resolve())

    done = subprocess.run(
        [link, "shutdown"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path)},
    )

    assert (done.returncode, done.stderr) == (0, "")


def run_tool(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["tools/bazel", *words],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"} | environment,
    )


def test_bazelisk_gets_its_bazel_back(tmp_path: Path) -> None:
    (tmp_path / "bazel").write_text('#!/bin/sh\nprintf "%s|" "$@"\nexit 9\n')
    (tmp_path / "bazel").chmod(0o755)

    done = run_tool("build", "--flag", "a b", BAZEL_REAL=f"{tmp_path}/bazel")

    assert (done.returncode, done.stdout) == (9, "build|--flag|a b|")


def test_bazelisk_can_be_asked_for_debians_bazel(tmp_path: Path) -> None:
    asked = {"BAZEL_REAL": "/bin/false", "XDG_CACHE_HOME": str(tmp_path)}

    # Without a builder root there is nothing to shut down, and nothing is made for it.
    assert run_tool("shutdown", **asked, BAZEL_FROM="debian").returncode == 0
    assert run_tool("shutdown", **asked).returncode == 1


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["build", "//image"], False),
        (["run", "//:dev"], False),
        (["--batch", "test", "//..."], True),
        (["coverage", "//..."], True),
        (["help", "test"], False),
        ([], False),
    ],
)
def test_a_root_gets_what_tests_call_when_a_test_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: list[str], expected: bool
) -> None:
    asked: list[bool] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(command, "prepare", lambda _, *, tests: asked.append(tests))
    monkeypatch.setattr(command, "_run", lambda *_: 0)

    assert command.main(typed) == 0

    assert asked == [expected]


def test_the_root_keeps_its_name_and_options_when_it_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truststore, "ensure", lambda *_: None)
    root = command.place(tmp_path)
    before = command._startup(root, tmp_path)
    root.mkdir()
    (root / stages.TESTS).touch()

    assert command.place(tmp_path) == root
    # Bazel starts another server when a startup option changes.
    assert command._startup(root, tmp_path) == before


def test_a_server_that_sees_the_root_otherwise_does_not_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truststore, "ensure", lambda *_: None)
    before = command._startup(tmp_path, tmp_path)
    changed = tmp_path / "sandbox.py"
    changed.write_text("Another view")
    monkeypatch.setattr(sandbox, "__file__", str(changed))

    assert command._startup(tmp_path, tmp_path) != before


@pytest.mark.parametrize("enough", [True, False])
def test_bazel_uses_the_memory_where_there_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enough: bool
) -> None:
    monkeypatch.setattr(truststore, "ensure", lambda *_: None)
    monkeypatch.setattr(sandbox, "in_memory", lambda: enough)

    *_, last = command._startup(tmp_path, tmp_path)

    name = "memory.bazelrc" if enough else "bazelrc"
    assert last == f"--bazelrc={command.WORKSPACE}/tools/debian/{name}"


def test_shutting_down_makes_no_root_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(command, "RECIPE", tmp_path / "recipe.toml")
    (tmp_path / "recipe.toml").write_text("")

    assert command.main(["shutdown"]) == 0

    assert not (tmp_path / "bazel-debian").exists()


# Stands for bwrap: tells its child's process id as bwrap does, waits, returns its exit code.
BWRAP = """#!{python}
import json, os, subprocess, sys
words = sys.argv[1:]
info = int(words[words.index("--info-fd") + 1])
child = subprocess.Popen(words[words.index("/usr/bin/env"):])
os.write(info, json.dumps({{"child-pid": child.pid}}).encode())
os.close(info)
sys.exit(child.wait())
"""
IN_ROOT = """
import sys
from pathlib import Path
from tools.debian.builder.command import _in_root
sys.exit(_in_root(sys.argv[2:], Path(sys.argv[1]), Path(sys.argv[1])))
"""


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    program = tmp_path / "bin/bwrap"
    program.parent.mkdir()
    program.write_text(BWRAP.format(python=sys.executable))
    program.chmod(0o755)
    return os.environ | {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "PYTHONPATH": ":".join(sys.path),
    }


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def run(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", IN_ROOT, str(tmp_path), *words],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_more_arguments_than_bubblewrap_takes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "arguments", lambda *_: ["--tmpfs", "/"])
    monkeypatch.setattr(sandbox, "system", lambda *_: False)
    monkeypatch.setattr(sandbox, "loopback_is_up", lambda: True)

    with pytest.raises(BuilderError, match=r"at most 8978 arguments, got 9000.*--target_pattern_f"):
        command._in_root(["//a"] * 9000, tmp_path, tmp_path)


def test_the_exit_code_is_that_of_the_command(start: Start) -> None:
    process = start("/bin/sh", "-c", "exit 37")

    assert process.wait(30) == 37


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_the_command(start: Start, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo got {name}; exit 5' {name}; echo ready; while :; do sleep 0.05; done"
    process = start("/bin/sh", "-c", script)
    assert said(process) == "ready\n"

    process.send_signal(number)

    assert said(process) == f"got {name}\n"
    assert process.wait(30) == 5


def test_a_signal_that_nobody_handles_ends_the_command(start: Start) -> None:
    process = start("/bin/sh", "-c", "echo ready; exec sleep 60")
    assert said(process) == "ready\n"
    started = time.monotonic()

    process.terminate()

    assert process.wait(30) != 0
    assert time.monotonic() - started < 30
