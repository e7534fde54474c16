"""Tests of what a service is watched with: alert rules and dashboards."""

load("//tools/pytest:defs.bzl", "pytest_test")

_PROGRAMS = Label("//tests/operations:programs")
_RUNBOOK = Label("//docs:operate.md")

# Of any service.
_TESTS = [
    "//tests/operations:conftest.py",
    "//tests/operations:test_dashboards.py",
    "//tests/operations:test_rules.py",
]

def operations_test(name, service, library, manifests, srcs = [], deps = [], data = [], env = {}, **kwargs):
    """Holds a service's alert rules and dashboards against promtool, the runbook and its `/metrics`.

    Args:
        name: name of the test.
        service: the service's definition, `NAME.service` of its `service_image`.
        library: the service, which is started and scraped.
        manifests: a target of the rule `manifests` whose overlay has the rules and dashboards.
        srcs: tests of the service's own rules; every alert is fired by a test.
        deps: libraries that those tests import.
        data: files that they read.
        env: more environment variables.
        **kwargs: as for pytest_test.
    """
    pytest_test(
        name = name,
        size = "medium",
        srcs = _TESTS + srcs,
        data = data + [manifests, service, _PROGRAMS, _RUNBOOK],
        env = env | {
            "MANIFESTS": "$(rootpath {})".format(manifests),
            "PROGRAMS": "$(rootpath {})".format(_PROGRAMS),
            "RUNBOOK": "$(rootpath {})".format(_RUNBOOK),
            "SERVICE": "$(rootpath {})".format(service),
        },
        target_compatible_with = ["@platforms//cpu:x86_64"],
        deps = deps + [library, "//tests/operations:watched"],
        **kwargs
    )
