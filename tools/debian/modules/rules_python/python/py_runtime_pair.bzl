"""The toolchain that Bazel 7's py_binary and py_test resolve to."""

def _py_runtime_pair(ctx):
    return [platform_common.ToolchainInfo(
        py2_runtime = None,
        py3_runtime = ctx.attr.py3_runtime[PyRuntimeInfo],
    )]

py_runtime_pair = rule(
    implementation = _py_runtime_pair,
    attrs = {
        "py3_runtime": attr.label(
            doc = "The py_runtime that programs run under.",
            mandatory = True,
            providers = [PyRuntimeInfo],
        ),
    },
    doc = "Makes a py_runtime usable as the `toolchain` of a toolchain().",
)
