"""The schemas that manifests are held against are the newest, and find what is wrong."""

import copy
import os
from pathlib import Path

import kubernetes_validate
import pytest
from kubernetes_validate import utils

from tests.kubernetes.manifests import Manifests, service

MINORS = list(map(utils.major_minor, utils.all_versions()))[-3:]


def test_the_schemas_are_those_of_three_minors_in_a_row() -> None:
    numbers = [int(minor.partition(".")[2]) for minor in MINORS]

    assert numbers == list(range(numbers[0], numbers[0] + 3))


@pytest.mark.parametrize("minor", MINORS)
def test_a_misspelt_key_would_be_found(minor: str) -> None:
    manifests = Manifests.read(Path(os.environ["MANIFESTS"]))
    broken = copy.deepcopy(manifests.one("Deployment", service()["service"]))
    container = broken["spec"]["template"]["spec"]["containers"][0]
    container["livenesProbe"] = container.pop("livenessProbe")

    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        kubernetes_validate.validate(broken, minor, strict=True)
