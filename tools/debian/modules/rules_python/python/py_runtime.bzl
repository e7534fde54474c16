"""An interpreter, and the shell script that starts programs under it."""

def py_runtime(
        name,
        bootstrap_template = Label("//python:bootstrap.sh"),
        interpreter_version_info = {},  # buildifier: disable=unused-variable
        stub_shebang = "#!/bin/sh",
        **kwargs):
    """Bazel 7's own rule, whose programs start without a Python on the machine.

    Args:
        name: name of the target.
        bootstrap_template: what starts a program; Bazel's own is itself written in Python.
        interpreter_version_info: unused; Bazel 7's rule has no such attribute.
        stub_shebang: first line of what starts a program.
        **kwargs: as for the original.
    """

    # Bazel 7 has it built in.
    # buildifier: disable=native-py
    native.py_runtime(
        name = name,
        bootstrap_template = bootstrap_template,
        stub_shebang = stub_shebang,
        **kwargs
    )
