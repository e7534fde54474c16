"""Tests that run containers under another kernel than this machine's."""

load("//tests/container:defs.bzl", "SERVICE_TESTS", "container_test")

_MACHINE = Label("//tests/machine:machine")
_PROFILE = Label("//deploy:apparmor")

# Of any service. The last gives the kernel another profile too.
_FIRST = [
    "//tests/machine:test_cgroups.py",
    "//tests/container:test_limits.py",
    "//tests/machine:test_confinement.py",
] + SERVICE_TESTS
_LAST = ["//tests/machine:test_apparmor.py"]

def machine_test(
        name,
        srcs,
        profile = _PROFILE,
        data = [],
        env = {},
        deps = [],
        plugins = [],
        prepare = None,
        size = "large",
        tags = [],
        **kwargs):
    """Runs container tests in a virtual machine: Debian's kernel, with AppArmor and cgroup v2.

    The service's containers are confined by its AppArmor profile. It takes no root.

    Args:
        name: name of the test.
        srcs: test modules, which run in this order.
        profile: the service's profile, of the rule `apparmor_profile`.
        data: files that the tests read.
        env: more environment variables.
        deps: libraries that the tests import.
        plugins: modules of more fixtures.
        prepare: module whose `prepare(images, folder)` is called before the machine boots, for what
            takes long in it; tests find the folder by PREPARED.
        size: how much the test takes.
        tags: more tags.
        **kwargs: as for container_test.
    """
    container_test(
        name = name,
        size = size,
        # By software it takes minutes, and on a busy machine more than the 15 of a large test.
        timeout = "eternal",
        srcs = srcs,
        data = data + [_MACHINE, profile],
        env = {
            "APPARMOR": "$(rootpath {})".format(profile),
            "MACHINE": "$(rootpath {})".format(_MACHINE),
        } | ({"MACHINE_PREPARE": prepare} if prepare else {}) | env,
        main = Label("//tests/machine:main.py"),
        plugins = ["tests.container.fixtures", "tests.machine.fixtures"] + plugins,
        # It takes longest: .bazelrc, at --default_test_resources.
        tags = tags + ["resources:tests:0"],
        target_compatible_with = ["@platforms//cpu:x86_64"],
        deps = deps + ["//tests/machine:harness"],
        **kwargs
    )

def confinement_test(name, image, service, srcs = [], plugins = [], **kwargs):
    """Runs a service's image confined: what its profile allows and forbids, limits, identity.

    What the profile allows is all that the service needs; what the profile forbids comes last.

    Args:
        name: name of the test.
        image: OCI layout of its image.
        service: its definition, `NAME.service` of its `service_image`.
        srcs: container tests of the service's own, during which nothing may be refused either.
        plugins: modules of the fixtures that they take.
        **kwargs: as for machine_test.
    """
    machine_test(
        name = name,
        srcs = _FIRST + srcs + _LAST,
        image = image,
        plugins = ["tests.machine.nothing_refused"] + plugins,
        service = service,
        **kwargs
    )
