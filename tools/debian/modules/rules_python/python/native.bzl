"""Bazel 7's own providers, under names that a file can give the original ones to."""

native_py_info = PyInfo
native_py_runtime_info = PyRuntimeInfo
