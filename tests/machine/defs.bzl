"""Tests that run containers under another kernel than this machine's."""

load("//tests/container:defs.bzl", "container_test")

_MACHINE = Label("//tests/machine:machine")
_PROFILE = Label("//deploy:apparmor")

def machine_test(
        name,
        srcs,
        data = [],
        env = {},
        deps = [],
        plugins = [],
        size = "large",
        tags = [],
        **kwargs):
    """Runs container tests in a virtual machine: Debian's kernel, with AppArmor and cgroup v2.

    The service's containers are confined by deploy's AppArmor profile. It takes no root.

    Args:
        name: name of the test.
        srcs: test modules.
        data: files that the tests read.
        env: more environment variables.
        deps: libraries that the tests import.
        plugins: modules of more fixtures.
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
        data = data + [_MACHINE, _PROFILE],
        env = {
            "APPARMOR": "$(rootpath {})".format(_PROFILE),
            "MACHINE": "$(rootpath {})".format(_MACHINE),
        } | env,
        main = Label("//tests/machine:main.py"),
        plugins = ["tests.container.fixtures", "tests.machine.fixtures"] + plugins,
        tags = tags,
        target_compatible_with = ["@platforms//cpu:x86_64"],
        deps = deps + ["//tests/machine:harness"],
        **kwargs
    )
