"""Bazel 7's own rule, under the name it has in rules_python."""

py_runtime = native.py_runtime
