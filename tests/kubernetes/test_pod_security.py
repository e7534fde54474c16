"""Every pod keeps the Pod Security Standard "restricted", which the namespaces enforce."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.kubernetes.manifests import Manifests, Object, rendered, service
from tests.kubernetes.pod_security import violations

FILES = ["PROD", "DEV", "FULL"]


@pytest.fixture(params=FILES)
def manifests(request: pytest.FixtureRequest) -> Manifests:
    return rendered(request.param)


def test_every_pod_is_restricted(manifests: Manifests) -> None:
    found = {name: violations(pod) for name, _, pod in manifests.pods()}

    assert len(found) >= 2
    assert found == {name: [] for name in found}


def test_every_namespace_enforces_it(manifests: Manifests) -> None:
    (namespace,) = manifests.of("Namespace")
    name = namespace["metadata"]["name"]

    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {one["metadata"].get("namespace", name) for one in manifests} == {name}


def test_no_pod_can_write_to_its_root_file_system(manifests: Manifests) -> None:
    for name, _, pod in manifests.pods():
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name


def test_no_pod_gets_a_token_for_the_api_server(manifests: Manifests) -> None:
    accounts = {one["metadata"]["name"]: one for one in manifests.of("ServiceAccount")}
    for name, _, pod in manifests.pods():
        assert pod["automountServiceAccountToken"] is False, name
        if account := pod.get("serviceAccountName"):
            assert accounts[account]["automountServiceAccountToken"] is False, account


def test_every_pod_has_requests_and_a_limit_of_memory(manifests: Manifests) -> None:
    for name, _, pod in manifests.pods():
        for container in pod["containers"]:
            resources = container["resources"]
            assert {"cpu", "memory"} <= resources["requests"].keys(), name
            assert "memory" in resources["limits"], name


def set_in(path: str, value: Any) -> Callable[[Object], None]:
    """Changes a pod's specification at a dotted path; "0" is a list's first."""

    def change(pod: Object) -> None:
        *folders, last = path.split(".")
        here: Any = pod
        for folder in folders:
            here = here[int(folder)] if folder == "0" else here.setdefault(folder, {})
        if value is None:
            del here[last]
        else:
            here[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("hostNetwork", True),
        ("hostPID", True),
        ("hostIPC", True),
        ("volumes.0", {"name": "tmp", "hostPath": {"path": "/"}}),
        ("securityContext.runAsNonRoot", None),
        ("securityContext.runAsUser", 0),
        ("securityContext.seccompProfile", None),
        ("securityContext.seccompProfile.type", "Unconfined"),
        ("securityContext.appArmorProfile.type", "Unconfined"),
        ("securityContext.seLinuxOptions.type", "spc_t"),
        ("securityContext.sysctls", [{"name": "kernel.msgmax", "value": "1"}]),
        ("containers.0.securityContext", None),
        ("containers.0.securityContext.privileged", True),
        ("containers.0.securityContext.allowPrivilegeEscalation", None),
        ("containers.0.securityContext.capabilities.drop", ["NET_RAW"]),
        ("containers.0.securityContext.capabilities.add", ["SYS_PTRACE"]),
        ("containers.0.securityContext.procMount", "Unmasked"),
        ("containers.0.securityContext.runAsUser", 0),
        ("containers.0.securityContext.runAsNonRoot", False),
        ("containers.0.securityContext.seccompProfile.type", "Unconfined"),
        ("containers.0.ports.0.hostPort", 8000),
        ("containers.0.livenessProbe.httpGet.host", "192.0.2.1"),
    ],
)
def test_the_checks_find_what_the_standard_forbids(path: str, value: Any) -> None:
    template = rendered("PROD").one("Deployment", service()["service"])["spec"]["template"]
    pod = copy.deepcopy(template["spec"])
    key = [int(one) if one == "0" else one for one in path.split(".")]
    if key[-1] == 0:
        pod["volumes"][0] = value
    else:
        set_in(path, value)(pod)

    assert violations(pod)
