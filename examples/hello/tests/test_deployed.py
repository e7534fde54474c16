"""The service is what it is deployed as: its image and its manifests know it by one name."""

import pytest

from examples.hello.identity import IDENTITY
from examples.hello.settings import Settings
from tests.kubernetes.manifests import rendered, service


def test_the_service_and_its_image_have_one_name_and_one_module() -> None:
    there = service()["service"], service()["module"]

    assert (IDENTITY.name, IDENTITY.module) == there, (
        f"identity.py names {IDENTITY.name} and {IDENTITY.module}, service_image {there}"
    )


@pytest.mark.parametrize("name", ["MANIFESTS", "WATCHED"])
def test_every_variable_is_one_that_the_service_knows(name: str) -> None:
    manifests = rendered(name)
    pod, container = manifests.server(service()["service"])

    for variable in manifests.settings(pod, container):
        field = variable.removesuffix("_FILE").lower()
        assert field in Settings.model_fields, f"{variable} is no setting of the service"
