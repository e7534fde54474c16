"""The todo service and its manifests agree: on settings, secrets, times and what may be reached."""

import os
import re
from pathlib import Path

import pytest
import yaml

from backend.app import create_app
from backend.settings import Settings
from serving.settings.secrets import is_secret
from tests.container.limits import LIMITS, MIB
from tests.kubernetes.manifests import Manifests, Object, mounted, rendered, service

NAME = service()["service"]
# From SIGTERM to SIGKILL, what is left when everything took as long as it may.
SPARE_SECONDS = 5
# One for WebSockets to close.
SOCKETS_SECONDS = 1
# PostgreSQL's default, less what it keeps for superusers.
DATABASE_CONNECTIONS = 100 - 3
# For probes, the event feed and LISTEN (docs/database.md).
SIDE_CONNECTIONS = 3


@pytest.fixture(params=["PROD", "DEV"])
def manifests(request: pytest.FixtureRequest) -> Manifests:
    return rendered(request.param)


@pytest.fixture
def prod() -> Manifests:
    return rendered("PROD")


def effective(
    manifests: Manifests, monkeypatch: pytest.MonkeyPatch, secrets: dict[str, str]
) -> Settings:
    """The settings that the service would have in its pod."""
    pod, container = manifests.server(NAME)
    for name in list(os.environ):
        if name.removesuffix("_FILE").lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    for name, value in manifests.settings(pod, container).items():
        if not name.endswith("_FILE"):
            monkeypatch.setenv(name, value)
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    return Settings()


SECRETS = {
    "DATABASE_URL": "postgresql://todo@127.0.0.1:5432/todo",
    "API_KEYS": f"tests:sha256:{'0' * 64}",
}


def test_the_port_is_the_one_that_the_service_opens(
    manifests: Manifests, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, container = manifests.server(NAME)
    (port,) = container["ports"]

    assert port["containerPort"] == effective(manifests, monkeypatch, SECRETS).port


@pytest.mark.parametrize("key", ["startup_path", "ready_path", "live_path", "metrics_path"])
def test_the_service_has_what_its_definition_says(key: str) -> None:
    assert service()[key] in create_app(Settings()).openapi()["paths"]


def test_every_variable_is_one_that_the_service_knows(manifests: Manifests) -> None:
    for pod, container in (manifests.server(NAME), manifests.migration(NAME)):
        for name in manifests.settings(pod, container):
            field = name.removesuffix("_FILE").lower()
            assert field in Settings.model_fields, f"{name} is no setting of the service"
            if name.endswith("_FILE"):
                assert is_secret(Settings.model_fields[field]), f"{name}: {field} is no secret"


def test_every_value_is_one_that_the_service_takes(
    manifests: Manifests, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert effective(manifests, monkeypatch, SECRETS).log_format == "json"


def test_secrets_are_files_and_never_variables(manifests: Manifests) -> None:
    for pod, container in (manifests.server(NAME), manifests.migration(NAME)):
        for name in manifests.settings(pod, container):
            field = Settings.model_fields.get(name.removesuffix("_FILE").lower())
            if field is not None and is_secret(field):
                assert name.endswith("_FILE"), f"{name}: expected {name}_FILE, for it is a secret"
        assert [one["name"] for one in container["env"] if "valueFrom" in one] == []
        assert [one for one in container.get("envFrom", ()) if "secretRef" in one] == []


def test_every_file_of_a_secret_is_mounted(manifests: Manifests) -> None:
    known = template_keys() if not manifests.of("Secret") else None
    for pod, container in (manifests.server(NAME), manifests.migration(NAME)):
        files = mounted(pod, container)
        for name, path in manifests.settings(pod, container).items():
            if not name.endswith("_FILE"):
                continue
            folder, _, key = path.rpartition("/")
            mount = files.get(path) or files.get(f"{folder}/")
            assert mount, f"{name}: no volume brings {path}; there are {sorted(files)}"
            secret, only = mount
            assert only in {"", key}
            keys = known or set(manifests.one("Secret", secret)["data"])
            assert key in keys, f"{name}: Secret {secret} has no {key}"


def template_keys() -> set[str]:
    return set(template()["stringData"])


def template() -> Object:
    found: Object = yaml.safe_load(Path(os.environ["SECRET_TEMPLATE"]).read_text())
    return found


def test_the_template_is_of_the_secret_that_prod_mounts(prod: Manifests) -> None:
    pod, container = prod.server(NAME)
    variables = prod.settings(pod, container)
    used = {path.rpartition("/")[2] for name, path in variables.items() if name.endswith("_FILE")}
    (namespace,) = prod.of("Namespace")

    assert template_keys() == used
    assert template()["metadata"] == {
        "name": NAME,
        "namespace": namespace["metadata"]["name"],
    }, "secret-template.yaml is of another service: write these in its metadata"
    assert not any(template()["stringData"].values())


def test_prod_has_no_secret_in_it(prod: Manifests) -> None:
    assert prod.of("Secret") == []


def test_the_migration_gets_no_secret_but_the_databases(manifests: Manifests) -> None:
    assert mounted(*manifests.migration(NAME)) == {
        f"/run/secrets/{NAME}/database-url": (NAME, "database-url")
    }


def test_the_grace_period_covers_drain_and_grace(
    manifests: Manifests, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = effective(manifests, monkeypatch, SECRETS)
    pod, container = manifests.server(NAME)
    needed = settings.drain_seconds + SOCKETS_SECONDS + settings.grace_seconds

    assert pod["terminationGracePeriodSeconds"] >= needed + SPARE_SECONDS
    # Load balancers have to notice: one look, and some time for the news to travel.
    assert settings.drain_seconds >= container["readinessProbe"]["periodSeconds"] + 2


def test_replicas_leave_the_migration_to_the_job(
    manifests: Manifests, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, container = manifests.migration(NAME)

    assert container["args"] == ["migrate"]
    assert effective(manifests, monkeypatch, SECRETS).auto_migrate is False


def test_production_demands_keys(prod: Manifests, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = effective(prod, monkeypatch, SECRETS)

    assert settings.auth_required
    assert not settings.docs_enabled


def test_all_replicas_together_leave_the_database_connections(
    prod: Manifests, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = effective(prod, monkeypatch, SECRETS)
    each = settings.database_pool_size + settings.database_max_overflow + SIDE_CONNECTIONS
    (scaler,) = prod.of("HorizontalPodAutoscaler")
    surge = prod.one("Deployment", NAME)["spec"]["strategy"]["rollingUpdate"]["maxSurge"]

    # And one for the migration.
    assert (scaler["spec"]["maxReplicas"] + surge) * each + 1 <= DATABASE_CONNECTIONS


def test_the_scaler_has_the_deployment_to_itself(prod: Manifests) -> None:
    (scaler,) = prod.of("HorizontalPodAutoscaler")
    deployment = prod.one("Deployment", NAME)

    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]
    assert scaler["spec"]["minReplicas"] >= 2


def test_a_drained_node_takes_one_replica_at_a_time(prod: Manifests) -> None:
    (budget,) = prod.of("PodDisruptionBudget")
    labels = prod.one("Deployment", NAME)["spec"]["template"]["metadata"]["labels"]

    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"]["matchLabels"] == labels


def test_the_limits_are_those_that_the_container_tests_run_under(manifests: Manifests) -> None:
    pod, container = manifests.server(NAME)
    limits = container["resources"]["limits"]
    (tmp,) = [one for one in pod["volumes"] if one["name"] == "tmp"]

    assert LIMITS.memory is not None
    assert limits["memory"] == f"{LIMITS.memory // MIB}Mi"
    assert float(limits["cpu"]) == LIMITS.cpus
    assert tmp["emptyDir"] == {"medium": "Memory", "sizeLimit": "64Mi"}


@pytest.mark.parametrize(
    ("file", "component", "expected"),
    [
        ("PROD", "server", {("UDP", 53), ("TCP", 53), ("TCP", 5432), ("TCP", 443)}),
        ("PROD", "migration", {("UDP", 53), ("TCP", 53), ("TCP", 5432)}),
        ("DEV", "server", {("UDP", 53), ("TCP", 53), ("TCP", 5432)}),
        ("DEV", "migration", {("UDP", 53), ("TCP", 53), ("TCP", 5432)}),
    ],
)
def test_out_go_only_dns_the_database_and_the_ai_service(
    file: str, component: str, expected: set[tuple[str, int]]
) -> None:
    manifests = rendered(file)
    labels = {
        "app.kubernetes.io/name": NAME,
        "app.kubernetes.io/component": component,
    }
    rules = manifests.policies(labels, "egress")
    reached = {(port["protocol"], port["port"]) for rule in rules for port in rule["ports"]}

    assert reached == expected
    # A rule without peers would reach everybody.
    assert [rule for rule in rules if not all(rule.get("to") or [None])] == []
    assert "/0" not in str(rules)


def test_the_database_is_the_one_that_was_built() -> None:
    (container,) = rendered("DEV").one("Deployment", "todo-postgres")["spec"]["template"]["spec"][
        "containers"
    ]

    assert container["image"].partition("@")[2] == (
        Path(os.environ["POSTGRES_DIGEST"]).read_text().strip()
    )


def test_the_migration_is_named_after_its_image(manifests: Manifests) -> None:
    job = manifests.one("Job", f"{NAME}-migrate")
    digest = re.search(r"@sha256:(\w{12})", manifests.migration(NAME)[1]["image"])

    assert digest
    assert job["metadata"]["name"] == f"{NAME}-migrate-{digest[1]}"


def test_the_monitor_scrapes_the_service_by_name() -> None:
    manifests = rendered("FULL")
    (monitor,) = manifests.of("ServiceMonitor")
    (found,) = manifests.of("Service")
    (endpoint,) = monitor["spec"]["endpoints"]

    assert endpoint["port"] in {port["name"] for port in found["spec"]["ports"]}
    assert endpoint["path"] in create_app(Settings()).openapi()["paths"]
    # Its Secret is the operator's to make: in prod metrics need a key.
    assert endpoint["authorization"] == {
        "type": "Bearer",
        "credentials": {"name": f"{NAME}-metrics", "key": "key"},
    }
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    assert wanted <= found["metadata"]["labels"].items()


def test_the_own_profiles_replace_the_runtimes() -> None:
    manifests = rendered("FULL")
    for pod, _ in (manifests.server(NAME), manifests.migration(NAME)):
        context = pod["securityContext"]
        assert context["seccompProfile"] == {
            "type": "Localhost",
            "localhostProfile": f"{NAME}.json",
        }
        assert context["appArmorProfile"] == {
            "type": "Localhost",
            "localhostProfile": NAME,
        }
