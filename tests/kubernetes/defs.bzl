"""Tests of a service's manifests."""

load("//tools/pytest:defs.bzl", "pytest_test")

def manifests_test(name, service, image, digest, manifests, **kwargs):
    """Holds rendered manifests against schemas, the Pod Security Standard and the service's image.

    Args:
        name: name of the test.
        service: the service's definition, `NAME.service` of its `service_image`.
        image: its image.
        digest: the digest that the manifests pin.
        manifests: targets of the rule `manifests`.
        **kwargs: as for pytest_test.
    """
    pytest_test(
        name = name,
        srcs = ["//tests/kubernetes:test_workload.py"],
        data = [digest, image, service] + manifests,
        env = {
            "IMAGE": "$(rootpath {})".format(image),
            "IMAGE_DIGEST": "$(rootpath {})".format(digest),
            "MANIFESTS": " ".join(["$(rootpath {})".format(one) for one in manifests]),
            "SERVICE": "$(rootpath {})".format(service),
        },
        deps = [
            "//tests/kubernetes:manifests",
            "//tests/kubernetes:schemas",
        ],
        **kwargs
    )
