"""The manifests are what the API servers of the newest Kubernetes versions take."""

import copy

import kubernetes_validate
import pytest
from kubernetes_validate import utils

from tests.kubernetes.manifests import Manifests, rendered, service

# Every version is there twice: strictly, and with unknown keys allowed.
MINORS = list(dict.fromkeys(map(utils.major_minor, utils.all_versions())))[-3:]


@pytest.fixture(params=["PROD", "DEV", "FULL"])
def manifests(request: pytest.FixtureRequest) -> Manifests:
    return rendered(request.param)


@pytest.mark.parametrize("minor", MINORS)
def test_every_object_fits_its_schema(manifests: Manifests, minor: str) -> None:
    for one in manifests:
        # The operator's own kind: Kubernetes has no schema for it.
        if one["kind"] != "ServiceMonitor":
            assert kubernetes_validate.validate(one, minor, strict=True) == minor


def test_the_schemas_are_those_of_three_minors_in_a_row() -> None:
    numbers = [int(minor.partition(".")[2]) for minor in MINORS]

    assert numbers == list(range(numbers[0], numbers[0] + 3))


@pytest.mark.parametrize("minor", MINORS)
def test_a_misspelt_key_would_be_found(minor: str) -> None:
    broken = copy.deepcopy(rendered("PROD").one("Deployment", service()["service"]))
    container = broken["spec"]["template"]["spec"]["containers"][0]
    container["livenesProbe"] = container.pop("livenessProbe")

    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        kubernetes_validate.validate(broken, minor, strict=True)
