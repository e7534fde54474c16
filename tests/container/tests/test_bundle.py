"""A container's configuration for runc is what the cluster's would be."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.container import bundle
from tests.container.bundle import Mount, SecurityContext
from tests.container.cgroups import Limits
from tests.oci.layout import Configuration

IMAGE = Configuration(
    os="linux",
    architecture="amd64",
    user="65532:65533",
    entrypoint=["/usr/bin/x", "-m"],
    command=["serve"],
    environment={"A": "1", "B": "2"},
    working_directory="/app",
    exposed_ports=[],
    volumes=[],
    labels={},
    stop_signal="SIGTERM",
)


def config(context: SecurityContext | None = None, **more: Any) -> dict[str, Any]:
    return bundle.config(IMAGE, Path("/rootfs"), context or SecurityContext(), **more)


def test_the_defaults_confine_as_much_as_can_be() -> None:
    made = config()

    assert made["root"] == {"path": "/rootfs", "readonly": True}
    assert made["process"]["user"] == {"uid": 65532, "gid": 65533}
    assert made["process"]["noNewPrivileges"] is True
    assert set(made["process"]["capabilities"]) == {
        "bounding",
        "effective",
        "inheritable",
        "permitted",
        "ambient",
    }
    assert not any(made["process"]["capabilities"].values())


def test_the_image_says_what_runs_and_where() -> None:
    process = config()["process"]

    assert process["args"] == ["/usr/bin/x", "-m", "serve"]
    assert process["cwd"] == "/app"
    assert process["env"] == ["A=1", "B=2"]


def test_arguments_stand_in_for_the_images_command() -> None:
    assert config(arguments=["migrate"])["process"]["args"] == ["/usr/bin/x", "-m", "migrate"]


def test_an_entry_point_stands_in_for_both() -> None:
    assert config(entrypoint=["/y"])["process"]["args"] == ["/y"]
    assert config(entrypoint=["/y"], arguments=["z"])["process"]["args"] == ["/y", "z"]


def test_variables_are_added_to_the_images() -> None:
    assert config(environment={"B": "3", "C": "4"})["process"]["env"] == ["A=1", "B=3", "C=4"]


def test_the_context_can_name_another_user() -> None:
    assert config(SecurityContext(user="1:2"))["process"]["user"] == {"uid": 1, "gid": 2}


@pytest.mark.parametrize("user", ["nobody", "1", "1:", "a:b"])
def test_a_user_that_is_not_two_numbers_is_an_error(user: str) -> None:
    with pytest.raises(ValueError, match="expected a user UID:GID"):
        config(SecurityContext(user=user))


def test_an_apparmor_profile_is_the_process_s_where_there_is_one() -> None:
    assert "apparmorProfile" not in config()["process"]
    assert config(SecurityContext(apparmor="a"))["process"]["apparmorProfile"] == "a"


def test_the_kernels_files_are_masked_unless_asked_for() -> None:
    masked, bare = config()["linux"], config(SecurityContext(masked=False))["linux"]

    assert "/proc/kcore" in masked["maskedPaths"]
    assert "/proc/sysrq-trigger" in masked["readonlyPaths"]
    assert bare["maskedPaths"] == bare["readonlyPaths"] == []


def test_capabilities_are_given_where_asked_for() -> None:
    made = config(SecurityContext(capabilities=("CAP_B", "CAP_A")))

    assert made["process"]["capabilities"]["effective"] == ["CAP_A", "CAP_B"]


def test_limits_become_resources_without_swap() -> None:
    made = config(limits=Limits(memory=1000, cpus=0.5, pids=7), cgroups_path="/x/y")["linux"]

    assert made["cgroupsPath"] == "/x/y"
    assert made["resources"] == {
        "memory": {"limit": 1000, "swap": 1000},
        "cpu": {"quota": 50_000, "period": 100_000},
        "pids": {"limit": 7},
    }


def test_without_limits_no_group_is_asked_for() -> None:
    assert not {"cgroupsPath", "resources"} & config()["linux"].keys()


def test_temporary_folders_are_memory_of_the_size_asked_for() -> None:
    mounts = config(SecurityContext(tmpfs={"/t": 4096}))["mounts"]

    (found,) = [mount for mount in mounts if mount["destination"] == "/t"]
    assert found["type"] == "tmpfs"
    assert {"size=4096", "nosuid", "nodev", "noexec"} <= set(found["options"])
    assert not [mount for mount in mounts if mount["destination"] == "/tmp"]


@pytest.mark.parametrize("read_only", [True, False])
def test_mounts_are_bound_read_only_unless_asked_otherwise(read_only: bool) -> None:
    made = config(mounts=[Mount(Path("/here"), "/there", read_only)])["mounts"][-1]

    assert (made["source"], made["destination"], made["type"]) == ("/here", "/there", "bind")
    assert ("ro" in made["options"]) is read_only


def test_the_profile_is_handed_on_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    file.write_text(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}))

    profile = bundle.seccomp(file)

    assert config(SecurityContext(seccomp=profile))["linux"]["seccomp"] == profile


def test_a_key_that_the_runtime_would_not_see_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    file.write_text(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "archMap": []}))

    with pytest.raises(ValueError, match="got also \\['archMap'\\]"):
        bundle.seccomp(file)
