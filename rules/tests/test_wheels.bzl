"""Tests of which layers take wheels as every service has them packed."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//rules:defs.bzl", "layer")
load("//rules/private:recipe.bzl", "EXCLUSIONS", "PACKAGES")

def _packs_impl(ctx):
    env = analysistest.begin(ctx)
    packing = [action for action in analysistest.target_actions(env) if action.mnemonic == "ImageWheel"]
    asserts.equals(env, ctx.attr.wheels, len(packing))
    return analysistest.end(env)

_packs_test = analysistest.make(
    _packs_impl,
    attrs = {"wheels": attr.int(doc = "how many wheels the layer has packed for itself")},
)

def wheel_tests(name, python, wheels):
    """Makes the tests, and the layers NAME.shared and NAME.own, which hold the same.

    Args:
      name: name of the suite.
      python: wheels, as labels.
      wheels: how many that are.
    """
    asked = {
        "own": {"exclude": [EXCLUSIONS, "nothing.toml"]},
        "shared": {},
        "unlike": {"compile": []},
        "unstripped": {"strip": False},
        "wide": {"compile": ["/app", "/usr/local/"]},
    }
    tests = []
    for way, attributes in asked.items():
        layer(
            name = "{}.{}".format(name, way),
            packages_path = PACKAGES,
            python = python,
            tags = ["manual"],
            visibility = ["//visibility:private"],
            **({"compile": [PACKAGES], "exclude": [EXCLUSIONS]} | attributes)
        )
        tests.append("{}.{}_test".format(name, way))
        _packs_test(
            name = tests[-1],
            target_under_test = ":{}.{}".format(name, way),
            wheels = 0 if way in ["shared", "wide"] else wheels,
        )
    native.test_suite(name = name, tests = tests)
