"""Tests that run images in containers."""

load("@rules_python//python:defs.bzl", "py_test")

_MAIN = Label("//tests/container:main.py")
_RUNNER = Label("//tools/pytest:runner.py")
_SECCOMP = Label("//deploy:seccomp.json")
_SETTINGS = Label("//:pyproject.toml")

# Of any service. They share one that runs, and the last one ends it.
SERVICE_TESTS = [
    "//tests/container:test_identity.py",
    "//tests/container:test_service.py",
    "//tests/container:test_read_only.py",
    "//tests/container:test_end.py",
]

def container_test(
        name,
        srcs,
        image,
        postgres = None,
        service = None,
        deps = [],
        data = [],
        env = {},
        size = "medium",
        tags = ["requires-root"],
        main = _MAIN,
        plugins = ["tests.container.fixtures"],
        **kwargs):
    """Runs pytest in namespaces of its own, with fixtures that run an image with runc.

    Args:
        name: name of the test.
        srcs: test modules.
        image: OCI layout, for fixture `image`.
        postgres: OCI layout, for fixture `postgres`.
        service: the image's service (`NAME.service`), whose definition tests find by SERVICE.
        deps: libraries that the tests import.
        data: files that the tests read.
        env: more environment variables.
        size: how long the test may take, as for any test.
        tags: more tags; without root, control groups and a second user id are missing.
        main: program that runs pytest.
        plugins: modules of fixtures; a later one's stand in for an earlier one's.
        **kwargs: as for py_test.
    """
    py_test(
        name = name,
        size = size,
        srcs = [main, _RUNNER] + srcs,
        args = ["-p " + plugin for plugin in plugins] + ["$(rootpaths {})".format(src) for src in srcs],
        data = data + [image, _SECCOMP, _SETTINGS] + ([postgres] if postgres else []) + ([service] if service else []),
        env = {
            "IMAGE": "$(rootpath {})".format(image),
            "PYTHONDONTWRITEBYTECODE": "1",
            "SECCOMP": "$(rootpath {})".format(_SECCOMP),
        } | ({"POSTGRES": "$(rootpath {})".format(postgres)} if postgres else {}) | (
            {"SERVICE": "$(rootpath {})".format(service)} if service else {}
        ) | env,
        main = main,
        # Bazel's linux-sandbox is a user namespace with one user id and /sys read-only: in it runc
        # can neither become the image's user nor set limits. The tests make namespaces themselves.
        tags = tags + ["no-sandbox"],
        deps = deps + [
            "//tests/container:harness",
            "@pypi//anyio",
            "@pypi//httpx",
            "@pypi//pytest",
        ],
        **kwargs
    )

def service_test(name, image, service, **kwargs):
    """Runs a service's image as production does: probes, limits, user, read-only root, SIGTERM.

    An ordinary user has neither control groups nor the image's user id: it says so, and fails.

    Args:
        name: name of the test.
        image: OCI layout of its image.
        service: its definition, `NAME.service` of its `service_image`.
        **kwargs: as for container_test.
    """
    container_test(
        name = name,
        srcs = SERVICE_TESTS,
        image = image,
        service = service,
        **kwargs
    )
