"""Tests that pytest runs."""

load("@rules_python//python:defs.bzl", "py_test")

_RUNNER = Label("//tools/pytest:runner.py")
_SETTINGS = Label("//:pyproject.toml")

# Collected by pytest on its own, or nothing to collect from.
_NOT_TESTS = ["__init__.py", "conftest.py"]

def pytest_test(
        name,
        srcs,
        deps = [],
        data = [],
        args = [],
        env = {},
        size = "small",
        **kwargs):
    """Runs pytest on exactly the sources given, with the settings of pyproject.toml.

    Args:
        name: name of the test.
        srcs: test modules, with what conftest.py and __init__.py files they need.
        deps: libraries that the tests import; pytest and its anyio plugin come by themselves.
        data: files that the tests read.
        args: more arguments for pytest.
        env: more environment variables.
        size: how long the test may take, as for any test.
        **kwargs: as for py_test.
    """
    tests = [src for src in srcs if src.rpartition("/")[2].rpartition(":")[2] not in _NOT_TESTS]
    if not tests:
        fail("pytest_test {}: srcs name no test module".format(name))
    py_test(
        name = name,
        size = size,
        srcs = [_RUNNER] + srcs,
        args = ["$(rootpaths {})".format(test) for test in tests] + args,
        data = data + [_SETTINGS],
        env = {"PYTHONDONTWRITEBYTECODE": "1"} | env,
        main = _RUNNER,
        deps = deps + [
            dep
            for dep in ["@pypi//anyio", "@pypi//pytest"]
            if dep not in deps
        ],
        **kwargs
    )
