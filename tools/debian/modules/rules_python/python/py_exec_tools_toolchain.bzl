"""The toolchain of actions that run an interpreter directly."""

load(":py_exec_tools_info.bzl", "PyExecToolsInfo")

def _py_exec_tools_toolchain(ctx):
    interpreter = ctx.attr.exec_interpreter
    runtime = None
    if interpreter and platform_common.ToolchainInfo in interpreter:
        runtime = getattr(interpreter[platform_common.ToolchainInfo], "py3_runtime", None)
    return [platform_common.ToolchainInfo(
        exec_tools = PyExecToolsInfo(
            exec_interpreter = interpreter,
            exec_runtime = runtime,
            precompiler = ctx.attr.precompiler,
        ),
    )]

py_exec_tools_toolchain = rule(
    implementation = _py_exec_tools_toolchain,
    attrs = {
        "exec_interpreter": attr.label(
            cfg = "exec",
            default = Label("@rules_python//python:current_interpreter"),
            doc = "The interpreter that actions run; by default that of the Python toolchain.",
        ),
        "precompiler": attr.label(
            allow_files = True,
            cfg = "exec",
            doc = "A program that byte-compiles sources.",
        ),
    },
    doc = "Says which interpreter actions run, for @rules_python//python:exec_tools_toolchain_type.",
)
