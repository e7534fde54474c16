"""Tests that look at pages in headless Chromium."""

load("//tools/pytest:defs.bzl", "pytest_test")

_CHROMIUM = Label("//tools/browser:chromium")

def browser_test(name, srcs, deps = [], data = [], args = [], env = {}, size = "medium", **kwargs):
    """Runs pytest with the fixtures `chromium`, a browser, and `pictures`, a folder for screenshots.

    Args:
        name: name of the test.
        srcs: test modules.
        deps: libraries that the tests import.
        data: files that the tests read, such as the pages.
        args: more arguments for pytest.
        env: more environment variables.
        size: how long the test may take, as for any test.
        **kwargs: as for pytest_test.
    """
    pytest_test(
        name = name,
        size = size,
        srcs = srcs,
        args = ["-p tools.browser.fixtures"] + args,
        data = data + [_CHROMIUM],
        env = env | {"CHROMIUM": "$(rootpath {})".format(_CHROMIUM)},
        # The lock has the packages of one CPU.
        target_compatible_with = ["@platforms//cpu:x86_64"],
        deps = deps + ["//tools/browser:fixtures"],
        **kwargs
    )
