"""Who builds the image: Bazel, and the container engines that follow bench/docker."""

import contextlib
import json
import resource
import shutil
from pathlib import Path
from typing import Protocol

from bench.base import Base
from bench.checkout import Checkout
from bench.commands import BenchError, find, here, run
from bench.machine import processor_seconds
from tests.container import kernel

TARGET = "//image"
LAYOUT = "bazel-bin/image/image"
_CONTAINERS = """\
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
static_dir = "{folder}/libpod"
tmp_dir = "{folder}/tmp"
volume_path = "{folder}/volumes"
"""
_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/images"
runroot = "{folder}/run"
"""
_IMPORT = "FROM scratch\nADD {archive} /\n"


class Contender(Protocol):
    """Builds the image as an OCI layout, of sources that are its own.

    Attributes:
        name: what tables call it.
    """

    name: str

    def version(self) -> str:
        """Which program it is."""

    def forget(self) -> None:
        """Has the next build begin with nothing built before; what was fetched stays."""

    def build(self) -> None:
        """Builds the image as this program's own next step takes it."""

    def layout(self) -> Path:
        """The image that was built last, as a layout of compressed layers."""

    def processor_seconds(self) -> float:
        """Processor time of all builds so far; neighbours of the machine change it little."""

    def change(self, number: int) -> None:
        """Adds a line to the service, another one for each number; 0 takes it back."""

    def lock(self, lock: str, requirements: str) -> None:
        """Takes other versions of wheels: the repository's lock, and the image's part of it."""


class Bazel:
    """This repository's own build, in a copy of the checkout."""

    def __init__(self, checkout: Checkout, module: Path, name: str = "Bazel") -> None:
        """`module` is the service's package, a path in the checkout."""
        self.name = name
        self.checkout = checkout
        self._edited = checkout.folder / module / "__init__.py"
        self._text = self._edited.read_text()

    def version(self) -> str:
        """Which program it is."""
        return self.checkout.bazel("version").split("Build label:")[-1].split()[0]

    def forget(self) -> None:
        """Removes what was built."""
        self.checkout.clean()

    def build(self) -> None:
        """Builds the image, which is a layout."""
        self.checkout.build(TARGET)

    def layout(self) -> Path:
        """The image that was built last."""
        return self.checkout.folder / LAYOUT

    def processor_seconds(self) -> float:
        """Of the server, its actions included, and of the workers that stay."""
        return processor_seconds(int(self.checkout.bazel("info", "server_pid")))

    def change(self, number: int) -> None:
        """Adds a line to the service, another one for each number; 0 takes it back."""
        self._edited.write_text(f"{self._text}\nCHANGE = {number}\n" if number else self._text)

    def lock(self, lock: str, requirements: str) -> None:  # noqa: ARG002 - see Contender
        """Takes other versions of wheels."""
        (self.checkout.folder / "requirements_lock.txt").write_text(lock)


class Engine:
    """buildah or podman, with storage of its own.

    Attributes:
        name: the program's.
        context: the folder that Dockerfile and sources are in.
    """

    def __init__(self, name: str, folder: Path, context: Path, wheels: Path, module: Path) -> None:
        """`folder` is new; `module` is the service's package, a path in the context.

        Raises:
            BenchError: the program is missing.
        """
        program = find(name)
        if program is None:
            raise BenchError(f"{name} is missing. As root: apt-get install {name}")
        self.name = name
        self.context = context
        self._program = program
        self._folder = folder
        self._wheels = wheels
        self._edited = context / module / "__init__.py"
        self._text = self._edited.read_text()
        self._is_clean = False
        self._tag = ""
        self._environment = _configure(folder)

    def version(self) -> str:
        """Which program it is."""
        return run([self._program, "--version"], environment=self._environment).split()[2]

    def take(self, base: Base, archive: Path) -> None:
        """Makes a base image of the archive of its root."""
        file = self._folder / "Dockerfile"
        file.write_text(_IMPORT.format(archive=archive.name))
        self._run("build", "--quiet", "--tag", base.name, "--file", str(file), str(archive.parent))

    def forget(self) -> None:
        """Has the next build use no layer of a former one."""
        self._is_clean = True
        with contextlib.suppress(BenchError):
            self._run("rmi", "localhost/bench-clean")

    def build(self) -> None:
        """Builds the image into the engine's storage, which holds layers uncompressed."""
        # Nobody who builds once pays for layers that only the next build needs.
        cache = ["--no-cache", "--layers=false"] if self._is_clean else ["--layers"]
        self._tag = "clean" if self._is_clean else "kept"
        self._is_clean = False
        self._run(
            *("build", "--quiet", *cache),
            # Times of the image are no reason for another digest, here as there.
            "--timestamp=0",
            f"--volume={self._wheels}:/wheels:ro",
            f"--tag=localhost/bench-{self._tag}",
            f"--ignorefile={self.context}/.dockerignore",
            f"--file={self.context}/Dockerfile",
            str(self.context),
        )

    def layout(self) -> Path:
        """Writes the image that was built last as a layout."""
        layout = self._folder / "layout"
        shutil.rmtree(layout, ignore_errors=True)
        self._run("push", "--quiet", f"localhost/bench-{self._tag}", f"oci:{layout}:latest")
        return layout

    def processor_seconds(self) -> float:
        """Of all commands of this process that have ended: none but this one's run meanwhile."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def change(self, number: int) -> None:
        """Adds a line to the service, another one for each number; 0 takes it back."""
        self._edited.write_text(f"{self._text}\nCHANGE = {number}\n" if number else self._text)

    def lock(self, lock: str, requirements: str) -> None:  # noqa: ARG002 - see Contender
        """Takes other versions of wheels."""
        (self.context / "requirements.txt").write_text(requirements)

    def end(self) -> None:
        """Removes the mounts that an engine left which was ended in mid-build."""
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in reversed(mounts):
            if mount.startswith(f"{self._folder}/"):
                kernel.unmount(mount)

    def _run(self, command: str, *arguments: str) -> None:
        # What a RUN does needs no container of its own: it is this machine's, and trusted.
        isolation = ["--isolation=chroot"] if command == "build" else []
        run([self._program, command, *isolation, *arguments], environment=self._environment)


def _configure(folder: Path) -> dict[str, str]:
    """Writes settings of an engine; returns the variables that name them."""
    home = folder / "home"
    settings = home / ".config/containers"
    settings.mkdir(parents=True)
    for name in ("images", "run", "tmp", "libpod", "volumes"):
        (folder / name).mkdir()
    (folder / "containers.conf").write_text(_CONTAINERS.format(folder=folder))
    (folder / "storage.conf").write_text(_STORAGE.format(folder=folder))
    (folder / "registries.conf").write_text("unqualified-search-registries = []\n")
    (settings / "policy.json").write_text(
        json.dumps({"default": [{"type": "insecureAcceptAnything"}]})
    )
    return {
        **here(),
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "HOME": str(home),
        "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
        "TMPDIR": str(folder / "tmp"),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_RUNTIME_DIR": str(folder / "run"),
    }
