"""deploy/compose.yaml keeps to the specification, and to what Kubernetes is told."""

import importlib.resources
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import validator_for

from backend.tests.image.compose import composition
from backend.tests.image.compose.composition import Object
from tests.container.limits import LIMITS
from tests.kubernetes import manifests as deployed
from tests.kubernetes.manifests import rendered

SCHEMA = "builtin_schemas/vendor/compose-spec.json"
UNITS = {"Mi": "m", "Gi": "g"}


@pytest.fixture(scope="module")
def document() -> Object:
    return composition.read()


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = importlib.resources.files("check_jsonschema").joinpath(SCHEMA).read_text()
    return validator_for(json.loads(schema))


def problems(validator: Any, document: Object) -> list[str]:
    return [error.message for error in validator.iter_errors(document)]


def kubernetes(name: str) -> tuple[Object, Object]:
    """The pod and the container that do in Kubernetes what a service does here."""
    dev, service = rendered("DEV"), deployed.service()["service"]
    if name == "backend":
        return dev.server(service)
    if name == "migrate":
        return dev.migration(service)
    return dev.server("todo-postgres")


every = pytest.mark.parametrize("name", ["backend", "migrate", "database"])


def test_it_keeps_to_the_specification(validator: Any, document: Object) -> None:
    assert problems(validator, document) == []


def test_the_schema_finds_what_is_wrong(validator: Any, document: Object) -> None:
    """Or else the test above would show nothing."""
    wrong = {**document, "services": {"a": {"image": "x", "read_onyl": True}}}
    assert any("read_onyl" in problem for problem in problems(validator, wrong))


@every
def test_its_containers_are_confined_as_in_kubernetes(document: Object, name: str) -> None:
    service = document["services"][name]
    pod, container = kubernetes(name)
    context, whose = container["securityContext"], pod["securityContext"]
    assert service["user"] == f"{whose['runAsUser']}:{whose['runAsGroup']}"
    assert service["read_only"] is context["readOnlyRootFilesystem"] is True
    assert service["cap_drop"] == context["capabilities"]["drop"] == ["ALL"]
    assert context["allowPrivilegeEscalation"] is False
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.keys() & {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc"}


@every
def test_its_limits_are_those_of_kubernetes(document: Object, name: str) -> None:
    service = document["services"][name]
    limits = kubernetes(name)[1]["resources"]["limits"]
    memory = limits["memory"]
    assert service["mem_limit"] == memory[:-2] + UNITS[memory[-2:]]
    assert str(service["cpus"]) == limits["cpu"]
    assert service["pids_limit"] >= (LIMITS.pids or 0)
    assert "/tmp:size=64m,mode=1777" in service["tmpfs"]


@pytest.mark.parametrize("name", ["backend", "migrate"])
def test_the_service_has_its_own_seccomp_profile(document: Object, name: str) -> None:
    (profile,) = [
        option.partition("=")[2]
        for option in document["services"][name]["security_opt"]
        if option.startswith("seccomp")
    ]
    assert json.loads((composition.path().parent / profile).read_text())["syscalls"]


def test_its_settings_are_those_of_the_overlay_dev(document: Object) -> None:
    here = document["services"]["backend"]["environment"]
    pod, container = kubernetes("backend")
    there = rendered("DEV").settings(pod, container)
    own = {"AI_API_KEY", "AI_BASE_URL", "DATABASE_URL"}
    assert {name: value for name, value in here.items() if name not in own} == {
        name: value for name, value in there.items() if not name.endswith("_FILE")
    }


def test_the_images_are_those_that_are_loaded_and_none_is_pulled(document: Object) -> None:
    images = {name: one["image"] for name, one in document["services"].items()}
    name = deployed.service()["service"]
    assert images == {
        "backend": f"{name}:latest",
        "migrate": f"{name}:latest",
        "database": "dev-postgres:latest",
    }
    assert {one["pull_policy"] for one in document["services"].values()} == {"never"}


def test_ports_and_health_are_those_of_the_services_definition(document: Object) -> None:
    backend, definition = document["services"]["backend"], deployed.service()
    (port,) = backend["ports"]
    assert port == f"127.0.0.1:${{PORT:-{definition['port']}}}:{definition['port']}"
    url = f"http://127.0.0.1:{definition['port']}{definition['ready_path']}"
    assert url in backend["healthcheck"]["test"][-1]


def test_it_has_the_time_to_end_that_it_has_in_kubernetes(document: Object) -> None:
    seconds = kubernetes("backend")[0]["terminationGracePeriodSeconds"]
    assert document["services"]["backend"]["stop_grace_period"] == f"{seconds}s"


def test_the_database_has_no_way_out(document: Object) -> None:
    assert document["networks"]["database"] == {"internal": True}
    assert document["services"]["database"]["networks"] == ["database"]
    assert "ports" not in document["services"]["database"]


def test_the_database_is_asked_as_in_kubernetes(document: Object) -> None:
    probe = kubernetes("database")[1]["readinessProbe"]["exec"]["command"]
    assert document["services"]["database"]["healthcheck"]["test"] == ["CMD", *probe]


def test_nothing_of_the_host_is_mounted(document: Object) -> None:
    assert [name for name, one in document["services"].items() if "volumes" in one] == []
    assert Path(composition.path()).name == "compose.yaml"
