"""The seccomp and AppArmor profiles of deploy/: made as they say they are, and as narrow."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from deploy.seccomp import MOST, ProfileError, extended, main, profile, traced
from tests.container.needs import program
from tests.kubernetes.manifests import service

FORBIDDEN = (
    "acct add_key bpf chroot clock_settime delete_module finit_module init_module io_uring_enter "
    "io_uring_register io_uring_setup kexec_load keyctl mount move_mount open_by_handle_at "
    "open_tree perf_event_open personality pivot_root process_vm_readv process_vm_writev ptrace "
    "quotactl reboot request_key setns settimeofday swapon umount2 unshare userfaultfd"
)


@pytest.fixture
def source() -> str:
    return Path(os.environ["SECCOMP_SOURCE"]).read_text()


@pytest.fixture
def allowed() -> list[str]:
    (rule,) = json.loads(Path(os.environ["SECCOMP"]).read_text())["syscalls"]
    assert rule["action"] == "SCMP_ACT_ALLOW"
    names: list[str] = rule["names"]
    return names


def test_the_profile_is_made_of_its_source(source: str) -> None:
    made = Path(os.environ["SECCOMP"]).read_text() == profile(tomllib.loads(source))

    assert made, "seccomp.json is not what `tools/bazel run //deploy:seccomp` makes of seccomp.toml"


def test_it_allows_few_calls_each_named_once(allowed: list[str]) -> None:
    assert len(allowed) <= MOST
    assert allowed == sorted(set(allowed))


def test_every_call_that_no_trace_shows_has_a_reason(source: str) -> None:
    groups = tomllib.loads(source)

    for title in groups.keys() - {"service"}:
        bare = [name for name, reason in groups[title].items() if len(reason) <= 5]
        assert bare == [], f"[{title}] in seccomp.toml gives no reason for {bare}"


@pytest.mark.parametrize("name", FORBIDDEN.split())
def test_calls_that_reach_beyond_a_container_are_not_among_them(
    allowed: list[str], name: str
) -> None:
    assert name not in allowed


SERVICE = f"--service={Path(os.environ['SERVICE']).absolute()}"
MODULE = service()["module"]
TRACE = f"""\
10 execve("/usr/bin/runc", ["/usr/bin/runc", "start"], 0x1 /* 7 vars */) = 0
10 mount("a", "b") = 0
11 execve("/usr/bin/python3.13", ["/usr/bin/python3.13", "-m", "{MODULE}"], 0x2 <unfinished ...>
11 <... execve resumed>) = 0
11 clone3({{flags=CLONE_VM <unfinished ...>
12 rseq(0x1, 0x20, 0, 0x53053053) = 0
11 <... clone3 resumed> => {{parent_tid=[2]}}, 88) = 2 /* 12 in strace's PID NS */
12 sendmsg(3, {{}}) = 1
10 ptrace(1) = 0
12 +++ exited with 0 +++
12 reboot() = 0
"""


def test_a_trace_gives_the_services_calls_and_nobody_elses() -> None:
    assert traced(TRACE.splitlines(), MODULE) == {"execve", "clone3", "sendmsg"}


def test_traced_calls_are_added_and_refused_ones_are_not(source: str) -> None:
    made = tomllib.loads(extended(source, {"sync", "io_uring_setup"}))["service"]["traced"]

    assert "sync" in made
    assert "io_uring_setup" not in made
    assert made == sorted(made)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> Path:
    """A repository in which the program is run from the folder of that name."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/seccomp.toml").write_text(source)
    (tmp_path / "deploy/seccomp.json").write_text("{}\n")
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path / "deploy"))
    return tmp_path / "deploy"


def test_a_traces_new_calls_are_written_and_named(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "trace").write_text(TRACE.replace("12 +++", "12 sync() = 0\n12 +++"))

    assert main([SERVICE, "trace"]) == 0

    written = (repository / "seccomp.toml").read_text()
    assert "sync" in tomllib.loads(written)["service"]["traced"]
    assert (repository / "seccomp.json").read_text() == profile(tomllib.loads(written))
    assert capsys.readouterr().out.endswith("new calls: sendmsg, sync\n")


def test_a_trace_without_the_service_changes_nothing(
    repository: Path, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "trace").write_text("10 sync() = 0\n")

    assert main([SERVICE, "trace"]) == 1

    assert (repository / "seccomp.toml").read_text() == source
    assert (repository / "seccomp.json").read_text() == "{}\n"
    assert f"trace: expected a trace in which `-m {MODULE}` starts" in capsys.readouterr().err


def test_a_profile_that_allows_too_much_is_refused() -> None:
    many = {f"call{number}": "reason" for number in range(MOST + 1)}

    with pytest.raises(ProfileError, match="expected at most 120 calls, got 121"):
        profile({"pressure": many})


def test_a_call_both_allowed_and_refused_is_an_error() -> None:
    with pytest.raises(ProfileError, match=r"got both for .'bpf'"):
        profile({"pressure": {"bpf": "a"}, "refused": {"bpf": "b"}})


def compiled(file: Path) -> "subprocess.CompletedProcess[bytes]":
    parser = program("apparmor_parser", "apparmor")
    return subprocess.run(
        [parser, "--skip-kernel-load", "--skip-cache", "--stdout", file],
        capture_output=True,
        check=False,
    )


def test_the_apparmor_profile_compiles() -> None:
    done = compiled(Path(os.environ["APPARMOR"]))

    assert done.returncode == 0, done.stderr.decode()
    assert service()["service"].encode() in done.stdout


def test_an_apparmor_profile_that_is_wrong_would_not_compile(tmp_path: Path) -> None:
    broken = tmp_path / "profile"
    broken.write_text(Path(os.environ["APPARMOR"]).read_text().replace("deny mount,", "deny mout,"))

    assert compiled(broken).returncode != 0


def test_the_apparmor_profile_lets_write_where_the_manifests_do() -> None:
    text = Path(os.environ["APPARMOR"]).read_text()
    rules = re.findall(r"^  (?:owner )?(/\S+) (\w+),$", text, re.MULTILINE)
    writable = {path for path, modes in rules if "w" in modes}

    assert writable == {"/tmp/**", "/dev/null", "/dev/shm/**", "/dev/std{in,out,err}"}
    assert {path for path, modes in rules if "x" in modes} == {"/usr/bin/python3.13"}
