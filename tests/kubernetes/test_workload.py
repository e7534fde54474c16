"""The manifests of any service: of its image, for its port and probes, and restricted."""

import json
import os
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from kubernetes_validate import utils

from tests.kubernetes.manifests import Manifests, Object, mounted, service
from tests.kubernetes.pod_security import violations

SERVICE = service()
NAME = SERVICE["service"]
MINORS = list(map(utils.major_minor, utils.all_versions()))[-3:]


@pytest.fixture(params=os.environ["MANIFESTS"].split(), ids=lambda path: Path(path).stem)
def manifests(request: pytest.FixtureRequest) -> Manifests:
    return Manifests.read(Path(request.param))


def server(manifests: Manifests) -> tuple[Object, Object]:
    try:
        return manifests.server(NAME)
    except LookupError as error:
        pytest.fail(f"the manifests are of another service than {NAME}: {error}", pytrace=False)


def image_configuration() -> Any:
    """The configuration of the image, of the first platform in its layout."""
    layout = Path(os.environ["IMAGE"])
    document = json.loads((layout / "index.json").read_text())
    while "config" not in document:
        digest = document["manifests"][0]["digest"].removeprefix("sha256:")
        document = json.loads((layout / "blobs/sha256" / digest).read_text())
    digest = document["config"]["digest"].removeprefix("sha256:")
    return json.loads((layout / "blobs/sha256" / digest).read_text())


@pytest.mark.parametrize("minor", MINORS)
def test_every_object_fits_its_schema(manifests: Manifests, minor: str) -> None:
    for one in manifests:
        # The operator's own kinds: Kubernetes has no schema for them.
        if one["kind"] not in {"PrometheusRule", "ServiceMonitor"}:
            assert kubernetes_validate.validate(one, minor, strict=True) == minor


def test_every_pod_is_restricted(manifests: Manifests) -> None:
    pods = list(manifests.pods())

    assert pods
    for name, _, pod in pods:
        assert violations(pod) == [], name


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


def test_the_port_is_the_services(manifests: Manifests) -> None:
    _, container = server(manifests)
    (port,) = container["ports"]

    assert port == {"name": "http", "containerPort": int(SERVICE["port"])}
    assert list(image_configuration()["config"]["ExposedPorts"]) == [f"{SERVICE['port']}/tcp"]


@pytest.mark.parametrize(
    ("probe", "path"),
    [
        ("startupProbe", "startup_path"),
        ("readinessProbe", "ready_path"),
        ("livenessProbe", "live_path"),
    ],
)
def test_each_probe_asks_what_it_is_for(manifests: Manifests, probe: str, path: str) -> None:
    _, container = server(manifests)

    assert container[probe]["httpGet"] == {"path": SERVICE[path], "port": "http"}


def test_liveness_is_slower_to_act_than_readiness(manifests: Manifests) -> None:
    _, container = server(manifests)

    def seconds(probe: str) -> int:
        found = container[probe]
        return int(found["periodSeconds"] * found["failureThreshold"])

    assert seconds("readinessProbe") <= 6
    assert seconds("livenessProbe") >= 5 * seconds("readinessProbe")
    assert seconds("startupProbe") >= 120


def test_the_user_is_the_images(manifests: Manifests) -> None:
    user = image_configuration()["config"]["User"]
    for _, labels, pod in manifests.pods():
        if labels.get("app.kubernetes.io/name") == NAME:
            context = pod["securityContext"]
            assert f"{context['runAsUser']}:{context['runAsGroup']}" == user


def test_secrets_are_readable_for_the_services_group_alone(manifests: Manifests) -> None:
    for _, _, pod in manifests.pods():
        for volume in pod["volumes"]:
            if "secret" in volume:
                assert f"{volume['secret']['defaultMode']:04o}" == "0440", volume
        assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


def test_services_lead_to_the_pods_ports(manifests: Manifests) -> None:
    for found in manifests.of("Service"):
        wanted = found["spec"]["selector"].items()
        pods = [pod for _, labels, pod in manifests.pods() if wanted <= labels.items()]
        assert len(pods) == 1, f"{found['metadata']['name']} selects {len(pods)} kinds of pods"
        names = {port["name"] for port in pods[0]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in found["spec"]["ports"]} <= names


def test_a_rollout_never_takes_a_replica_away_first(manifests: Manifests) -> None:
    rolling = manifests.one("Deployment", NAME)["spec"]["strategy"]["rollingUpdate"]

    assert rolling == {"maxSurge": 1, "maxUnavailable": 0}


def test_everything_is_denied_that_is_not_allowed(manifests: Manifests) -> None:
    deny = manifests.one("NetworkPolicy", "default-deny")["spec"]

    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_only_the_server_is_reached_and_only_at_its_port(manifests: Manifests) -> None:
    labels = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/component": "server"}
    rules = manifests.policies(labels, "ingress")

    assert [rule["ports"] for rule in rules] == [[{"port": "http", "protocol": "TCP"}]]
    assert [rule for rule in rules if not all(rule.get("from") or [None])] == []
    labels["app.kubernetes.io/component"] = "migration"
    assert manifests.policies(labels, "ingress") == []


def test_the_image_is_pinned_to_what_was_built(manifests: Manifests) -> None:
    digest = Path(os.environ["IMAGE_DIGEST"]).read_text().strip()
    images = [
        container["image"]
        for _, labels, pod in manifests.pods()
        if labels.get("app.kubernetes.io/name") == NAME
        for container in pod["containers"]
    ]

    assert images
    assert {image.partition("@")[2] for image in images} == {digest}
    assert {image.partition("@")[0].rpartition("/")[2] for image in images} == {NAME}


def test_profiles_and_secrets_are_the_services(manifests: Manifests) -> None:
    for name, labels, pod in manifests.pods():
        if labels.get("app.kubernetes.io/name") != NAME:
            continue
        for kind, own in (("appArmorProfile", NAME), ("seccompProfile", f"{NAME}.json")):
            found = pod["securityContext"].get(kind, {}).get("localhostProfile", own)
            assert found == own, f"{name}: {kind} is {found}, of another service; expected {own}"
        for container in pod["containers"]:
            for path, (secret, _) in mounted(pod, container).items():
                if path.startswith("/run/secrets/"):
                    assert secret == NAME or secret.startswith(f"{NAME}-"), (
                        f"{name}: {path} is of the Secret {secret}, of another service; expected "
                        f"{NAME}, or a name that begins with {NAME}-"
                    )


def test_what_has_a_database_is_let_out_to_it(manifests: Manifests) -> None:
    for name, labels, pod in manifests.pods():
        for container in pod["containers"]:
            given = manifests.settings(pod, container)
            if labels.get("app.kubernetes.io/name") == NAME and "DATABASE_URL_FILE" in given:
                ports = {
                    port["port"]
                    for rule in manifests.policies(labels, "egress")
                    for port in rule.get("ports", [{"port": "any"}])
                }
                assert ports - {53}, (
                    f"{name} has a database, and no policy lets it out but to DNS: add a "
                    "NetworkPolicy with the database's address (docs/your-service.md)"
                )
