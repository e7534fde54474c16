from pathlib import Path

from tools.debian.builder import sandbox


def make_root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("usr/bin", "etc", "var"):
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

    read_only = binds(sandbox.arguments(root, []), "--ro-bind")

    assert read_only["/usr"] == f"{root}/usr"
    assert read_only["/etc"] == f"{root}/etc"
    assert read_only["/var"] == f"{root}/var"


def test_links_into_usr_stay_links(tmp_path: Path) -> None:
    assert binds(sandbox.arguments(make_root(tmp_path), []), "--symlink")["/bin"] == "usr/bin"


def test_the_persons_folders_keep_their_names(tmp_path: Path) -> None:
    arguments = sandbox.arguments(make_root(tmp_path), [Path("/var/lib/jobs/1")])

    assert binds(arguments, "--bind")["/var/lib/jobs/1"] == "/var/lib/jobs/1"
    assert binds(arguments, "--bind")["/tmp"] == "/tmp"


def test_hosts_and_users_are_the_machines(tmp_path: Path) -> None:
    read_only = binds(sandbox.arguments(make_root(tmp_path), []), "--ro-bind")

    assert read_only["/etc/passwd"] == "/etc/passwd"
    assert list(read_only).index("/etc") < list(read_only).index("/etc/passwd")
