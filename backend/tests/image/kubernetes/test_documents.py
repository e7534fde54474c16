"""What docs/ say of deployment and security is there."""

import os
import re
from pathlib import Path

import pytest

from tests.kubernetes.manifests import rendered, service


@pytest.fixture(scope="module")
def sources() -> str:
    """Every test of the repository."""
    folder = Path(os.environ["SETTINGS"]).parent
    return "\n".join(file.read_text() for file in sorted(folder.rglob("*test*.py")))


@pytest.mark.parametrize("page", ["SECURITY", "OPERATE"])
def test_every_test_that_a_page_names_exists(page: str, sources: str) -> None:
    text = Path(os.environ[page]).read_text()
    named = set(re.findall(r"`(test_\w+)`", text))

    assert named, "expected names of tests such as `test_nothing_is_writable`"
    assert {name for name in named if not re.search(rf"def {name}\(", sources)} == set()


@pytest.mark.parametrize("page", ["SECURITY", "DEPLOYMENT", "OPERATE"])
def test_every_file_that_a_page_names_exists(page: str) -> None:
    text = Path(os.environ[page]).read_text()
    known = os.environ["FILES"].split()

    for path in re.findall(r"`(deploy/[\w./-]+)`", text):
        assert any(file == path or file.startswith(f"{path}/") for file in known), (
            f"{path} is not there"
        )


def test_the_times_and_limits_of_the_deployment_page_are_the_manifests() -> None:
    text = " ".join(Path(os.environ["DEPLOYMENT"]).read_text().split())
    pod, container = rendered("PROD").server(service()["service"])
    limits = container["resources"]["limits"]

    assert f"{pod['terminationGracePeriodSeconds']} s in the manifests" in text
    assert f"{limits['memory'].removesuffix('Mi')} MiB of memory" in text
    assert text.count(f"--stop-timeout={pod['terminationGracePeriodSeconds']} ") == 2
    assert text.count(f"--memory={limits['memory'].removesuffix('Mi')}m ") == 2
