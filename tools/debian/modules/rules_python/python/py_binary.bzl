"""Bazel 7's own rule, under the name it has in rules_python."""

py_binary = native.py_binary
