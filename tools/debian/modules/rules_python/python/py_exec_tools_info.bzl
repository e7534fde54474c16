"""The provider of py_exec_tools_toolchain."""

PyExecToolsInfo = provider(
    doc = "Tools for actions that run Python.",
    fields = {
        "exec_interpreter": "Target: an interpreter that actions can run, or None.",
        "exec_runtime": "PyRuntimeInfo of that interpreter, or None.",
        "precompiler": "Target: a program that byte-compiles sources, or None.",
    },
)
