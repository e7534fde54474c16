"""Podman with storage and networks of its own, for manifests to be run by `podman kube play`."""

import json
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import yaml

from tests.container import kernel
from tests.container.namespaces import Identity
from tests.container.needs import program
from tests.kubernetes.manifests import Object

_CONTAINERS = """\
[containers]
default_ulimits = [{ulimits}]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
firewall_driver = "nftables"
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/images"
runroot = "{folder}/run"
"""


class PodmanError(Exception):
    """Podman refused, or a pod did not do what it should; the text has what they say."""


class Podman:
    """Runs podman. Use it as a context: at its end no pod and no container is left.

    It has to be in a mount, PID and network namespace of its own, as `container_test` gives it.

    Attributes:
        environment: the variables that podman is run with.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is empty, and gone with the mount namespace."""
        self._folder = folder
        self._podman = program("podman", "podman")
        self._skopeo = program("skopeo", "skopeo")
        program("runc", "runc")
        self.environment = {
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "HOME": str(folder),
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            # Its advice about the kernel's control groups is nothing that a test can act on.
            "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
        }
        (folder / "containers.conf").write_text(
            _CONTAINERS.format(folder=folder, ulimits=", ".join(_ulimits()))
        )
        (folder / "storage.conf").write_text(_STORAGE.format(folder=folder))

    def __enter__(self) -> Self:
        # Locks and leases that podman and its helpers keep there are nobody else's business.
        kernel.mount("run", "/run", "tmpfs")
        # Podman keeps there what short names of images mean, and the builder root is read-only.
        kernel.mount("cache", "/var/cache", "tmpfs")
        return self

    def __exit__(self, *_: object) -> None:
        for kind in ("pod", "container"):
            self.run(kind, "rm", "--all", "--force", "--time=0", check=False)

    def run(self, *arguments: str, check: bool = True, seconds: float = 120) -> str:
        """Runs podman and returns what it prints; raises `PodmanError` with what it says."""
        done = subprocess.run(
            [self._podman, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        if check and done.returncode != 0:
            raise PodmanError(f"podman {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def load(self, layout: Path, name: str) -> None:
        """Takes an image from an OCI layout under a name REPOSITORY@DIGEST."""
        done = subprocess.run(
            [self._skopeo, "copy", "--quiet", f"oci:{layout}", f"containers-storage:{name}"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise PodmanError(f"skopeo copy {name}: {done.stderr.strip()}")

    def play(self, objects: list[Object], *options: str) -> None:
        """Makes what the objects describe; raises `PodmanError`."""
        file = self._folder / "manifests.yaml"
        file.write_text(yaml.safe_dump_all(objects))
        self.run("kube", "play", *options, str(file))

    def inspect(self, container: str) -> dict[str, Any]:
        """What podman knows of a container."""
        found: list[dict[str, Any]] = json.loads(self.run("inspect", container))
        return found[0]

    def health(self, container: str) -> bool:
        """Runs a container's startup or liveness probe now, as the kubelet's timer would."""
        return self._answers("healthcheck", "run", container)

    def execute(self, container: str, command: list[str]) -> bool:
        """Whether a command in a container succeeds."""
        return self._answers("exec", container, *command)

    def _answers(self, *arguments: str) -> bool:
        try:
            self.run(*arguments)
        except PodmanError:
            return False
        return True

    def until(
        self, condition: Callable[[], bool], what: str, container: str, seconds: float = 90
    ) -> None:
        """Waits; raises `PodmanError` with the container's log when it takes too long."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                log = self.run("logs", container, check=False)
                state = self.inspect(container)["State"]
                raise PodmanError(f"{container}: not {what} in {seconds:g} s: {state}\n{log}")
            time.sleep(0.2)


@contextmanager
def podman_below(scratch: Path, identity: Identity) -> Iterator[Podman]:
    """Podman in a new folder of the tests' own; raises `PodmanError` for an ordinary user."""
    if not identity.root:
        raise PodmanError("podman's networks and limits are root's here. Run as root to test them")
    folder = scratch / "podman"
    folder.mkdir()
    with Podman(folder) as made:
        yield made


def _ulimits() -> list[str]:
    """The limits that this process has: a container root may not raise them, and podman would."""
    kinds = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    limits = []
    for name, kind in kinds.items():
        _, hard = resource.getrlimit(kind)
        limits.append(f'"{name}={hard}:{hard}"')
    return limits
