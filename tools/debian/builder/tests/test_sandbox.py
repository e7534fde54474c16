"""What of the machine and what of the builder root Bazel gets to see."""

import os
from pathlib import Path

import pytest

from tools.debian.builder import command, sandbox

TMP = Path("/tmp")


def make_root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("usr/bin", "usr/local/src", "etc", "var/lib"):
        (root / name).mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    return root


def binds(arguments: list[str], kind: str) -> dict[str, str]:
    return {
        arguments[index + 2]: arguments[index + 1]
        for index, word in enumerate(arguments)
        if word == kind
    }


def test_system_folders_come_from_the_root_and_cannot_be_written(tmp_path: Path) -> None:
    root = make_root(tmp_path)

    read_only = binds(sandbox.arguments(root, [], TMP), "--ro-bind")

    assert read_only["/usr"] == f"{root}/usr"
    assert read_only["/etc"] == f"{root}/etc"
    assert read_only["/var"] == f"{root}/var"


def test_links_into_usr_stay_links(tmp_path: Path) -> None:
    assert binds(sandbox.arguments(make_root(tmp_path), [], TMP), "--symlink")["/bin"] == "usr/bin"


def test_the_persons_folders_keep_their_names(tmp_path: Path) -> None:
    arguments = sandbox.arguments(make_root(tmp_path), [Path("/var/lib/jobs/1")], TMP)

    assert binds(arguments, "--bind")["/var/lib/jobs/1"] == "/var/lib/jobs/1"
    assert binds(arguments, "--bind")["/tmp"] == "/tmp"


@pytest.mark.parametrize(
    ("folder", "opened"),
    [
        ("/var/lib/jobs/1", "/var/lib"),
        ("/var/jobs", "/var"),
        ("/usr/local/src/me", "/usr/local/src"),
        ("/usr/work/me", "/usr"),
        ("/etc/work", "/etc"),
    ],
)
def test_the_way_to_a_folder_can_be_made_below_a_system_folder(
    tmp_path: Path, folder: str, opened: str
) -> None:
    root = make_root(tmp_path)
    (root / opened.lstrip("/") / "ours").mkdir()
    arguments = sandbox.arguments(root, [Path(folder)], Path(folder))

    # A folder of the root is laid out anew in memory, with what it has, and closed in the end.
    at = arguments.index("--tmpfs", arguments.index("/sys") + 6)
    assert arguments[at + 1] == opened
    assert binds(arguments, "--ro-bind")[f"{opened}/ours"] == f"{root}{opened}/ours"
    assert arguments.index(folder) < arguments.index("--remount-ro")
    assert arguments[arguments.index("--remount-ro") + 1] == opened
    assert arguments[-2:] == ["--chdir", folder]


@pytest.mark.parametrize("folder", ["/srv/x", "/opt/x", "/home/x", "/mnt/a b", "/dev/shm/x"])
def test_the_machines_other_folders_need_nothing_of_their_own(tmp_path: Path, folder: str) -> None:
    root = make_root(tmp_path)

    with_folder = sandbox.arguments(root, [Path(folder)], TMP)

    assert with_folder == sandbox.arguments(root, [], TMP)


@pytest.mark.parametrize("folder", ["/run/user/1000/x", "/var/tmp/x", "/boot/x"])
def test_a_folder_that_is_empty_in_the_view_is_not_opened(tmp_path: Path, folder: str) -> None:
    arguments = sandbox.arguments(make_root(tmp_path), [Path(folder)], TMP)

    assert binds(arguments, "--bind")[folder] == folder
    assert "--remount-ro" not in arguments


@pytest.mark.parametrize("home", ["/", "/usr", "/bin", "/usr/bin", "/etc", "/var", "/run"])
def test_a_home_that_is_a_system_folder_does_not_hide_the_roots(tmp_path: Path, home: str) -> None:
    root = make_root(tmp_path)
    (root / "usr/bin/env").touch()

    assert sandbox.arguments(root, [Path(home)], TMP) == sandbox.arguments(root, [], TMP)
    assert sandbox.system(root, Path(home))


def test_a_folder_reached_through_a_link_is_there_under_both_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_SYSTEM", sandbox._SYSTEM | {tmp_path.parts[1]})
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    arguments = sandbox.arguments(make_root(tmp_path), [tmp_path / "link"], TMP)

    assert binds(arguments, "--bind")[f"{tmp_path}/link"] == f"{tmp_path}/real"
    assert binds(arguments, "--bind")[f"{tmp_path}/real"] == f"{tmp_path}/real"


def test_a_link_of_the_root_is_followed_to_where_a_mount_can_lie(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    (root / "var/run").symlink_to("/run")

    mounted = binds(sandbox.arguments(root, [Path("/var/run/user/0")], TMP), "--bind")

    assert "/run/user/0" in mounted
    assert "/var/run/user/0" not in mounted


def test_where_the_working_folder_is_not_to_be_seen_the_command_starts_in_the_top_one(
    tmp_path: Path,
) -> None:
    arguments = sandbox.arguments(make_root(tmp_path), [], Path("/usr/share/nowhere"))

    assert arguments[-2:] == ["--chdir", "/"]


def test_hosts_and_users_are_the_machines(tmp_path: Path) -> None:
    read_only = binds(sandbox.arguments(make_root(tmp_path), [], TMP), "--ro-bind")

    assert read_only["/etc/passwd"] == "/etc/passwd"
    assert list(read_only).index("/etc") < list(read_only).index("/etc/passwd")


def test_a_namespace_without_interfaces_has_no_loopback() -> None:
    child = os.fork()
    if child == 0:
        try:
            os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
            os._exit(1 if sandbox.loopback_is_up() else 0)
        except OSError:
            os._exit(2)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 2:
        pytest.skip("this user may make no namespaces")
    assert code == 0


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, True),
        ("max\n", True),
        (f"{8 << 30}\n", True),
        (f"{(8 << 30) - 1}\n", False),
        # What version 1 says of no limit.
        ("9223372036854771712\n", True),
    ],
)
def test_actions_have_their_folders_in_memory_where_a_container_may_use_enough_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, expected: bool
) -> None:
    monkeypatch.setattr(sandbox, "SANDBOXES", tmp_path / "sandboxes")
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 4 << 20, "SC_PAGE_SIZE": 4096}.get)
    monkeypatch.setattr(sandbox, "_LIMITS", (tmp_path / "memory.max",))
    if limit:
        (tmp_path / "memory.max").write_text(limit)

    assert sandbox.in_memory() == expected


def test_actions_have_their_folders_on_the_disk_of_a_small_machine_and_of_an_inner_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "SANDBOXES", tmp_path / "sandboxes")
    monkeypatch.setattr(sandbox, "_LIMITS", ())
    pages = {"SC_PHYS_PAGES": (2 << 20) - 1, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.get)
    assert not sandbox.in_memory()

    pages["SC_PHYS_PAGES"] += 1
    assert sandbox.in_memory()

    (tmp_path / "sandboxes").mkdir()
    assert not sandbox.in_memory()


def test_the_folder_for_actions_is_there_and_in_memory(tmp_path: Path) -> None:
    arguments = sandbox.arguments(make_root(tmp_path), [], TMP)

    assert arguments[:2] == ["--tmpfs", "/"]
    assert arguments[arguments.index("--dir") + 1] == str(sandbox.SANDBOXES)
    rc = Path(command.WORKSPACE, "tools/debian/memory.bazelrc").read_text()
    assert f"common --sandbox_base={sandbox.SANDBOXES}\n" in rc
