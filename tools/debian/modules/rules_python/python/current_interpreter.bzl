"""The interpreter of the Python toolchain, as a program."""

_TOOLCHAIN = Label("@rules_python//python:toolchain_type")

def _current_interpreter(ctx):
    toolchain = ctx.toolchains[_TOOLCHAIN]
    runtime = toolchain.py3_runtime
    if not runtime.interpreter:
        return [toolchain, DefaultInfo()]
    program = ctx.actions.declare_file(ctx.label.name + "/" + runtime.interpreter.basename)
    ctx.actions.symlink(
        output = program,
        is_executable = True,
        target_file = runtime.interpreter,
    )
    return [toolchain, DefaultInfo(
        executable = program,
        runfiles = ctx.runfiles([program], transitive_files = runtime.files),
    )]

current_interpreter = rule(
    implementation = _current_interpreter,
    doc = "Runs the interpreter that py_binary would use.",
    executable = True,
    toolchains = [_TOOLCHAIN],
)
