"""Tests of what is said of a wheel that BUILD files name and the lock has not."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")
load("//tools/debian/modules/rules_python/wheels:asked.bzl", "named", "unlocked")

_BUILD = """\
load("@pypi//:requirements.bzl", "all_requirements")

py_library(
    name = "lib",
    deps = [
        "//serving",
        "@debian//tzdata",
        "@pypi//fastapi",
        "@pypi//markupsafe:pkg",
        "@pypi_other//click",
    ],
)
"""

def _packages_are_found_by_their_labels_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, ["fastapi", "markupsafe"], named(_BUILD, "pypi"))
    asserts.equals(env, [], named("", "pypi"))
    return unittest.end(env)

packages_are_found_by_their_labels_test = unittest.make(_packages_are_found_by_their_labels_impl)

def _the_way_into_the_lock_is_said_impl(ctx):
    env = unittest.begin(ctx)
    text = unlocked("orjson", "clock/BUILD.bazel", "pypi", "requirements_lock.txt")
    for expected in [
        "clock/BUILD.bazel names @pypi//orjson, which requirements_lock.txt has not",
        "Write orjson in requirements.in",
        "tools/bazel run //:requirements.update -- orjson",
        "for name in [\"orjson\", \"pkg\", \"data\", \"dist_info\"]",
    ]:
        asserts.true(env, expected in text, text)
    return unittest.end(env)

the_way_into_the_lock_is_said_test = unittest.make(_the_way_into_the_lock_is_said_impl)

def asked_tests(name):
    """Makes the tests.

    Args:
      name: name of the suite.
    """
    unittest.suite(
        name,
        packages_are_found_by_their_labels_test,
        the_way_into_the_lock_is_said_test,
    )
