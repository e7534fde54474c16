"""The docs' commands of podman, run as they stand, with somebody's settings and secrets."""

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from serving.web.security import new_key
from tests.container import probe
from tests.kubernetes.podman import Podman

DATABASE = "database"
SERVICE = "service"
URL = "http://127.0.0.1:8000"
KEY, ENTRY = new_key("web")


def documented(page: str, ending: str) -> list[str]:
    """The words after `podman` of the one command of a page that begins so and ends so."""
    text = Path(os.environ[page]).read_text().replace("\\\n", " ")
    [found] = [
        line
        for line in re.findall(r"^    podman (run .*)$", text, re.MULTILINE)
        if line.endswith(ending)
    ]
    return shlex.split(found)


@pytest.fixture(scope="module")
def checkout(podman: Podman, scratch: Path) -> Iterator[Path]:
    """What the commands read of a checkout, with a database that the secrets name."""
    folder = scratch / "checkout"
    shutil.copytree(Path(os.environ["EXAMPLES"]), folder / "local", copy_function=shutil.copyfile)
    (folder / "deploy").mkdir()
    shutil.copyfile(os.environ["SECCOMP"], folder / "deploy/seccomp.json")
    podman.run(
        *("run", "--detach", f"--name={DATABASE}", "--read-only", "--tmpfs=/tmp:mode=1777"),
        "--tmpfs=/var/lib/postgresql:size=256m,mode=1777",
        *("--env=POSTGRES_USER=todo", "--env=POSTGRES_PASSWORD=secret", "dev-postgres:latest"),
    )
    is_ready = ["/usr/lib/postgresql/17/bin/pg_isready", "-h", "127.0.0.1", "-q"]
    podman.until(lambda: podman.execute(DATABASE, is_ready), "ready", DATABASE)
    networks = podman.inspect(DATABASE)["NetworkSettings"]
    address = networks["IPAddress"] or networks["Networks"]["podman"]["IPAddress"]
    secrets = folder / "local/secrets"
    (secrets / "database-url").write_text(f"postgresql://todo:secret@{address}:5432/todo")
    (secrets / "api-keys").write_text(ENTRY)
    yield folder
    podman.run("rm", "--force", "--ignore", "--time=0", SERVICE, DATABASE)


def run(podman: Podman, checkout: Path, words: list[str], *more: str) -> str:
    """A command of the docs in a checkout; `more` are its options before the image's name."""
    replaced = [word.replace("$PWD", str(checkout)) for word in words]
    at = replaced.index("todo-backend:latest")
    before = Path.cwd()
    os.chdir(checkout)
    try:
        return podman.run(*replaced[:at], *more, *replaced[at:])
    finally:
        os.chdir(before)


def test_it_checks_migrates_examines_and_serves(podman: Podman, checkout: Path) -> None:
    command = documented("DEPLOYMENT", "todo-backend:latest")
    checked = run(podman, checkout, [*command, "check-config"])
    assert "ENVIRONMENT=prod\n" in checked
    assert "secret@" not in checked

    assert "schema: empty -> " in run(podman, checkout, [*command, "migrate"])

    examined = run(podman, checkout, documented("TROUBLESHOOT", "doctor"))
    assert "failed" not in examined
    assert "database: PostgreSQL 17" in examined

    run(podman, checkout, command, "--detach", f"--name={SERVICE}")
    with httpx.Client(base_url=URL, timeout=10, trust_env=False) as client:
        podman.until(
            lambda: probe.status(f"{URL}/health/ready") == httpx.codes.OK, "ready", SERVICE
        )
        assert client.get("/api/v1/todos").status_code == 401
        headers = {"Authorization": f"Bearer {KEY}"}
        assert client.get("/api/v1/todos", headers=headers).json()["items"] == []


def test_the_doctor_looks_from_inside_of_it(podman: Podman, checkout: Path) -> None:
    text = Path(os.environ["TROUBLESHOOT"]).read_text()
    found = re.search(r"^    podman exec CONTAINER (.*)$", text, re.MULTILINE)
    assert found
    assert "failed" not in podman.run("exec", SERVICE, *shlex.split(found[1]))
