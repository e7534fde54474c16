"""deploy/compose.yaml, run by podman-compose on podman."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from backend.tests.image.compose import composition
from tests.container import probe
from tests.container.limits import LIMITS
from tests.kubernetes.podman import Podman
from tools.dev.process import environment, python_command

SECONDS = 120
URL = "http://127.0.0.1:8000"
WRITE = "import sys; open(sys.argv[1] + '/file', 'w')"


class Project:
    """The project, run. Its containers are called after their services."""

    def __init__(self, podman: Podman, folder: Path) -> None:
        self._podman = podman
        self._environment = environment(**podman.environment, PORT="8000")
        self._log = folder / "compose.log"

    def _command(self, *arguments: str) -> list[str]:
        return [*python_command(), "-m", "podman_compose", "--in-pod=0", *arguments]

    def up(self) -> None:
        """Starts it, and asks for the database's health, as systemd's timers do elsewhere."""
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                self._command("up", "-d"),
                cwd=composition.path().absolute().parent,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + SECONDS
        while process.poll() is None:
            if time.monotonic() > deadline:
                process.kill()
                pytest.fail(f"podman-compose up takes too long:\n{self.log}")
            self._podman.health(self.container("database"))
            time.sleep(0.3)
        assert process.returncode == 0, self.log

    def down(self) -> None:
        """Removes it."""
        subprocess.run(
            self._command("down", "-t", "3"),
            cwd=composition.path().absolute().parent,
            env=self._environment,
            check=False,
        )

    def container(self, service: str) -> str:
        return f"todo_{service}_1"

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")


@pytest.fixture(scope="module")
def project(podman: Podman, scratch: Path) -> Iterator[Project]:
    made = Project(podman, scratch)
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def client(podman: Podman, project: Project) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=URL, timeout=10, trust_env=False) as client:
        podman.until(
            lambda: probe.status(f"{URL}/health/ready") == httpx.codes.OK,
            "ready",
            project.container("backend"),
        )
        yield client


def test_it_migrates_and_serves(podman: Podman, project: Project, client: httpx.Client) -> None:
    created = client.post("/api/v1/todos", json={"title": "Water the plants"})
    assert created.status_code == 201, created.text
    migrate = project.container("migrate")

    def ended() -> bool:
        # Its end is seen late, and is "stopped" until podman has cleaned up after it.
        return podman.inspect(migrate)["State"]["Status"] in {"exited", "stopped"}

    podman.until(ended, "ended", migrate)
    assert podman.inspect(migrate)["State"]["ExitCode"] == 0, podman.run("logs", migrate)


def test_its_health_is_seen(podman: Podman, project: Project, client: httpx.Client) -> None:
    for name in ("backend", "database"):
        assert podman.health(project.container(name)), name


@pytest.mark.parametrize("name", ["backend", "database"])
def test_its_processes_are_confined(
    podman: Podman, project: Project, client: httpx.Client, name: str
) -> None:
    pid = podman.inspect(project.container(name))["State"]["Pid"]
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
    assert found["Uid"].split() == ["65532"] * 4
    assert [int(found[kind], 16) for kind in ("CapPrm", "CapEff", "CapBnd", "CapAmb")] == [0] * 4
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")


def test_its_limits_are_in_force(podman: Podman, project: Project, client: httpx.Client) -> None:
    limits = podman.inspect(project.container("backend"))["HostConfig"]
    assert limits["Memory"] == LIMITS.memory
    assert limits["NanoCpus"] == LIMITS.cpus * 1e9 if LIMITS.cpus else False
    assert limits["PidsLimit"] == LIMITS.pids
    assert limits["ReadonlyRootfs"] is True


def test_its_root_file_system_refuses_writes_and_tmp_takes_them(
    podman: Podman, project: Project, client: httpx.Client
) -> None:
    python = ["/usr/bin/python3.13", "-c", WRITE]
    assert not podman.execute(project.container("backend"), [*python, "/app"])
    assert podman.execute(project.container("backend"), [*python, "/tmp"])


def test_the_database_is_reached_by_the_service_alone(
    podman: Podman, project: Project, client: httpx.Client
) -> None:
    networks = podman.inspect(project.container("database"))["NetworkSettings"]
    assert list(networks["Networks"]) == ["todo_database"]
    assert not any(networks["Ports"].values())
