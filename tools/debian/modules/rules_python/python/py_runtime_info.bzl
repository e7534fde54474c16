"""Bazel 7's own provider, under the name it has in rules_python."""

load(":native.bzl", "native_py_runtime_info")

PyRuntimeInfo = native_py_runtime_info
