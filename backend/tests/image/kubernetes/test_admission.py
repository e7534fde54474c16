"""What policies of a cluster demand of the image: its signature, provenance, and two rebuilds."""

import fnmatch
import itertools
import os
import re
from pathlib import Path

import pytest

from rules.provenance.statement import PROVENANCE
from rules.verify.statement import REBUILD
from tests.kubernetes.manifests import Manifests, Object, service

NAME = service()["service"]
DIGEST = f"sha256:{'0' * 64}"
BUILDERS = ("a", "b", "c")
OURS = [f"registry.example/{NAME}@{DIGEST}", f"127.0.0.1:5000/team/{NAME}:v1"]
OTHERS = [f"registry.example/{NAME}-postgres@{DIGEST}", f"registry.example/my{NAME}:v1"]


def policies(stem: str) -> Manifests:
    (file,) = [file for file in map(Path, os.environ["POLICIES"].split()) if file.stem == stem]
    return Manifests.read(file)


@pytest.fixture(scope="module")
def sigstore() -> Manifests:
    return policies("sigstore")


@pytest.fixture(scope="module")
def kyverno() -> Object:
    (policy,) = policies("kyverno")
    return policy


def globs(policy: Object) -> list[str]:
    spec = policy["spec"]
    return [one["glob"] for one in spec.get("images") or spec["matchImageReferences"]]


@pytest.mark.parametrize("kind", ["sigstore", "kyverno"])
def test_a_policy_is_about_this_image_wherever_it_was_pushed(
    kind: str, request: pytest.FixtureRequest
) -> None:
    found = request.getfixturevalue(kind)
    for policy in found if kind == "sigstore" else [found]:
        for image, is_ours in [(one, True) for one in OURS] + [(one, False) for one in OTHERS]:
            matches = any(fnmatch.fnmatchcase(image, glob) for glob in globs(policy))
            assert matches is is_ours, (policy["metadata"]["name"], image)


def test_no_policy_only_warns(sigstore: Manifests, kyverno: Object) -> None:
    assert {policy["spec"]["mode"] for policy in sigstore} == {"enforce"}
    assert kyverno["spec"]["validationActions"] == ["Deny"]
    assert kyverno["spec"]["failurePolicy"] == "Fail"


def asked(policy: Object) -> dict[str, set[str]]:
    """What each authority has to have signed: kinds of predicates, or nothing for the image."""
    return {
        one["name"]: {each["predicateType"] for each in one.get("attestations", [])}
        for one in policy["spec"]["authorities"]
    }


def test_the_publisher_has_signed_the_image_and_its_provenance(sigstore: Manifests) -> None:
    assert asked(sigstore.one("ClusterImagePolicy", f"{NAME}-signed")) == {"publisher": set()}
    assert asked(sigstore.one("ClusterImagePolicy", f"{NAME}-provenance")) == {
        "publisher": {PROVENANCE}
    }


def test_any_two_of_three_builders_are_enough_and_one_is_not(sigstore: Manifests) -> None:
    # Of one policy any authority will do, and every policy that matches has to be satisfied.
    pairs = [asked(one) for one in sigstore if "-rebuilt-" in one["metadata"]["name"]]
    assert all(kinds == {REBUILD} for pair in pairs for kinds in pair.values())
    for number in range(len(BUILDERS) + 1):
        for agreeing in itertools.combinations(BUILDERS, number):
            signed = {f"builder-{one}" for one in agreeing}
            assert all(signed & pair.keys() for pair in pairs) is (number >= 2), agreeing


def test_each_key_is_a_secret_that_the_page_says_how_to_make(sigstore: Manifests) -> None:
    page = Path(os.environ["DEPLOYMENT"]).read_text()
    names = {
        authority["key"]["secretRef"]["name"]
        for policy in sigstore
        for authority in policy["spec"]["authorities"]
    }
    assert names == {f"{NAME}-publisher", *(f"{NAME}-builder-{one}" for one in BUILDERS)}
    assert [name for name in names if f"secret generic {name} " not in page] == []


def test_kyverno_asks_the_same(kyverno: Object) -> None:
    spec = kyverno["spec"]
    assert {one["name"]: one["intoto"]["type"] for one in spec["attestations"]} == {
        "provenance": PROVENANCE,
        "rebuild": REBUILD,
    }
    attestors = {one["name"] for one in spec["attestors"]}
    signature, provenance, rebuilt = (one["expression"] for one in spec["validations"])
    assert attestors == set(re.findall(r"attestors\.(\w+)", signature + provenance + rebuilt))
    assert "attestors.builder" not in signature + provenance
    assert len(set(re.findall(r"attestors\.(builder\w+)", rebuilt))) == len(BUILDERS)
    assert ".size() >= 2" in rebuilt
    for expression in (signature, provenance, rebuilt):
        # Those that start a pod, and those that somebody adds to it.
        assert {"containers", "initContainers", "ephemeralContainers"} <= set(
            re.findall(r"images\.\??(\w+)", expression)
        )


def test_kyverno_admits_nothing_until_the_keys_are_there(kyverno: Object) -> None:
    for attestor in kyverno["spec"]["attestors"]:
        key = attestor["cosign"]["key"]["data"]
        assert key == f"REPLACE THIS LINE BY THE PUBLIC KEY: {attestor['name']}.pub\n"
