"""The manifests for production, run by `podman kube play` on this machine.

What podman cannot do is put otherwise, and nothing else: `playable` has the list.
"""

import base64
import copy
import hashlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from backend.tests.image.container.stack import API_KEY
from tests.container.limits import LIMITS
from tests.container.namespaces import Identity
from tests.kubernetes import manifests as deployed
from tests.kubernetes.manifests import Manifests, Object, rendered
from tests.kubernetes.podman import Podman, podman_below

NAME = deployed.service()["service"]
SERVER = f"{NAME}-pod-{deployed.service()['container']}"
DATABASE = "todo-postgres-pod-postgres"
PYTHON = "/usr/bin/python3.13"
# Podman waits so long between SIGTERM and SIGKILL.
GRACE_SECONDS = 3
PROBE = (
    "import sys, urllib.request\n"
    "urllib.request.urlopen(f'http://127.0.0.1:{sys.argv[1]}', timeout=float(sys.argv[2]))\n"
)
WRITE = """
import sys
for folder in sys.argv[1:]:
    try:
        open(folder + "/file", "w")
    except OSError as error:
        print(folder, error.strerror)
"""


def playable(objects: list[Object], services: list[Object]) -> list[Object]:
    """The objects as podman 5 runs them.

    - It knows no Service: a Service's port is the host's.
    - It would run curl in the container for httpGet; the image has no curl, so a probe is Python.
    - It does not heed fsGroup: files of secrets are readable for everybody.
    - The grace period is short, so that a process that hangs is replaced soon.

    Its emptyDir has the mode of the folder in the image, so that /tmp cannot be written here;
    //backend/tests/image/container:service has a /tmp that can.
    """
    objects = copy.deepcopy(objects)
    for one in objects:
        if "template" not in one.get("spec", {}):
            continue
        template = one["spec"]["template"]
        for container in template["spec"]["containers"]:
            for name in ("startupProbe", "livenessProbe", "readinessProbe"):
                if "httpGet" in container.get(name, {}):
                    container[name]["exec"] = command(container[name], container)
            for service in services:
                if service["spec"]["selector"].items() <= template["metadata"]["labels"].items():
                    publish(service, container)
        for volume in template["spec"]["volumes"]:
            if "secret" in volume:
                volume["secret"]["defaultMode"] = 0o444
        template["spec"]["terminationGracePeriodSeconds"] = GRACE_SECONDS
    return objects


def command(probe: Object, container: Object) -> Object:
    """What asks the same as a probe's httpGet."""
    asked = probe.pop("httpGet")
    (port,) = [one for one in container["ports"] if one["name"] == asked["port"]]
    where = f"{port['containerPort']}{asked['path']}"
    return {"command": [PYTHON, "-c", PROBE, where, str(probe["timeoutSeconds"])]}


def publish(service: Object, container: Object) -> None:
    """Puts a Service's ports on the loopback interface."""
    for wanted in service["spec"]["ports"]:
        for port in container["ports"]:
            if port["name"] == wanted["targetPort"]:
                port |= {"hostPort": wanted["port"], "hostIP": "127.0.0.1"}


def secret() -> Object:
    """The Secret of the template, filled in."""
    found: Object = yaml.safe_load(Path(os.environ["SECRET_TEMPLATE"]).read_text())
    del found["metadata"]["namespace"]
    digest = hashlib.sha256(API_KEY.encode()).hexdigest()
    # Podman names a pod after its Deployment, and has that name in its DNS.
    database = rendered("DEV").one("Secret", "todo-postgres")["data"]["password"]
    password = base64.b64decode(database).decode()
    values = {
        "database-url": f"postgresql://todo:{password}@todo-postgres-pod:5432/todo",
        "api-keys": f"tests:sha256:{digest}",
        "ai-api-key": "unused",
    }
    assert values.keys() == found["stringData"].keys()
    # Podman wants "data".
    del found["stringData"]
    found["data"] = {
        key: base64.b64encode(value.encode()).decode() for key, value in values.items()
    }
    return found


@pytest.fixture(scope="module")
def prod() -> Manifests:
    return rendered("PROD")


@pytest.fixture(scope="module")
def podman(identity: Identity, scratch: Path) -> Iterator[Podman]:
    with podman_below(scratch, identity) as made:
        yield made


def digest_of(manifests: Manifests, kind: str, name: str) -> str:
    container = manifests.one(kind, name)["spec"]["template"]["spec"]["containers"][0]
    return str(container["image"])


@pytest.fixture(scope="module")
def service(podman: Podman, prod: Manifests) -> Iterator[httpx.Client]:
    """A client of the Service, once the pod behind it is ready."""
    dev = rendered("DEV")
    job = prod.one("Job", f"{NAME}-migrate")
    podman.load(Path(os.environ["IMAGE"]), digest_of(prod, "Deployment", NAME))
    podman.load(Path(os.environ["POSTGRES"]), digest_of(dev, "Deployment", "todo-postgres"))
    podman.play(
        playable([dev.one("Secret", "todo-postgres"), dev.one("Deployment", "todo-postgres")], [])
    )
    database = dev.one("Deployment", "todo-postgres")["spec"]["template"]["spec"]["containers"][0]
    # Podman has no readiness.
    accepts = database["readinessProbe"]["exec"]["command"]
    podman.until(lambda: podman.execute(DATABASE, accepts), "accepting connections", DATABASE)
    services = prod.of("Service")
    podman.play(
        playable(
            [
                secret(),
                prod.one("ConfigMap", NAME),
                job,
                prod.one("Deployment", NAME),
            ],
            services,
        )
    )
    podman.until(lambda: podman.health(SERVER), "started", SERVER)
    port = services[0]["spec"]["ports"][0]["port"]
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}",
        headers={"Authorization": f"Bearer {API_KEY}"},
        timeout=10,
    ) as client:
        podman.until(lambda: ready(client), "ready", SERVER)
        yield client


def ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_the_migration_ends_well(podman: Podman, service: httpx.Client, prod: Manifests) -> None:
    name = prod.one("Job", f"{NAME}-migrate")["metadata"]["name"] + "-pod-migrate"

    assert podman.inspect(name)["State"]["ExitCode"] == 0, podman.run("logs", name)
    assert "schema: empty -> " in podman.run("logs", name)


def test_todos_are_made_read_changed_and_deleted_through_the_services_port(
    service: httpx.Client,
) -> None:
    created = service.post("/api/v1/todos", json={"title": "Water the plants"})
    assert created.status_code == 201, created.text
    location = created.headers["location"]

    changed = service.patch(
        location,
        json={"title": "Water all plants"},
        headers={"If-Match": created.headers["etag"]},
    )
    assert changed.status_code == 200, changed.text
    assert service.get(location).json()["title"] == "Water all plants"
    assert service.delete(location).status_code == 204
    assert service.get(location).status_code in {404, 410}


def test_a_request_without_key_is_refused(service: httpx.Client) -> None:
    answer = httpx.get(f"{service.base_url}/api/v1/todos")

    assert answer.status_code == 401


def status(podman: Podman, name: str) -> dict[str, str]:
    pid = podman.inspect(name)["State"]["Pid"]
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


@pytest.mark.parametrize("name", [SERVER, DATABASE])
def test_its_processes_are_confined(podman: Podman, service: httpx.Client, name: str) -> None:
    found = status(podman, name)

    assert found["Uid"].split() == ["65532"] * 4
    assert found["Gid"].split() == ["65532"] * 4
    assert [int(found[kind], 16) for kind in ("CapPrm", "CapEff", "CapBnd", "CapAmb")] == [0] * 4
    assert found["NoNewPrivs"] == "1"
    assert found["Seccomp"] == "2"


def test_its_root_file_system_refuses_writes(podman: Podman, service: httpx.Client) -> None:
    folders = ("/", "/app", "/etc", "/usr", "/var")
    # As root, who may write to all of it: so it is the mount that refuses.
    outcome = podman.run("exec", "--user=0:0", SERVER, PYTHON, "-c", WRITE, *folders)
    assert outcome.splitlines() == [f"{folder} Read-only file system" for folder in folders]


def test_its_limits_are_in_force(podman: Podman, service: httpx.Client) -> None:
    limits = podman.inspect(SERVER)["HostConfig"]

    assert limits["Memory"] == LIMITS.memory
    assert LIMITS.cpus is not None
    assert limits["CpuQuota"] / limits["CpuPeriod"] == LIMITS.cpus
    assert memory_limit(podman.inspect(SERVER)["State"]["Pid"]) == LIMITS.memory


def memory_limit(pid: int) -> int:
    """The memory limit in the control group of a process, version 1 or 2 (cgroups(7))."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        root = Path("/sys/fs/cgroup")
        for file in (
            root / "memory" / path.lstrip("/") / "memory.limit_in_bytes",
            root / path.lstrip("/") / "memory.max",
        ):
            if controllers in {"memory", ""} and file.exists():
                return int(file.read_text())
    raise LookupError(f"process {pid} has no control group for memory")


def test_secrets_are_not_in_its_environment(podman: Podman, service: httpx.Client) -> None:
    pid = podman.inspect(SERVER)["State"]["Pid"]
    environment = Path(f"/proc/{pid}/environ").read_bytes().decode()

    assert "DATABASE_URL_FILE=" in environment
    assert "only-for-development" not in environment
    assert "sha256:" not in environment


def test_it_logs_json_alone(podman: Podman, service: httpx.Client) -> None:
    lines = podman.run("logs", SERVER).splitlines()

    assert lines
    assert [line for line in lines if not is_object(line)] == []


def is_object(line: str) -> bool:
    """Whether a line is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def test_a_process_that_hangs_is_replaced_and_serves_again(
    podman: Podman, service: httpx.Client, prod: Manifests
) -> None:
    container = prod.one("Deployment", NAME)["spec"]["template"]["spec"]["containers"][0]
    failures = container["livenessProbe"]["failureThreshold"]
    before = podman.inspect(SERVER)["State"]["Pid"]
    # The startup probe has passed; the next one is liveness.
    assert podman.health(SERVER), "the liveness probe fails while the service answers"

    def is_replaced() -> bool:
        return podman.inspect(SERVER)["State"]["Pid"] not in {0, before}

    os.kill(before, signal.SIGSTOP)
    outcomes = [podman.health(SERVER) for _ in range(failures)]

    assert not any(outcomes), f"the liveness probe of a process that hangs passed: {outcomes}"
    podman.until(is_replaced, "replaced", SERVER)
    podman.until(lambda: podman.health(SERVER), "started again", SERVER)
    podman.until(lambda: ready(service), "ready again", SERVER)
    assert podman.inspect(SERVER)["RestartCount"] >= 1


def test_a_process_that_answers_is_left_alone(podman: Podman, service: httpx.Client) -> None:
    before = podman.inspect(SERVER)["State"]["Pid"]

    for _ in range(4):
        assert podman.health(SERVER), "the liveness probe fails while the service answers"

    assert podman.inspect(SERVER)["State"]["Pid"] == before
