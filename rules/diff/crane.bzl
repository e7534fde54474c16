"""crane, the registry client that rules_oci pushes with, as a file."""

_TOOLCHAIN = "@rules_oci//oci:crane_toolchain_type"

def _crane_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(
        output = output,
        target_file = ctx.toolchains[_TOOLCHAIN].crane_info.binary,
        is_executable = True,
    )
    return [DefaultInfo(
        files = depset([output]),
        runfiles = ctx.runfiles([output, ctx.toolchains[_TOOLCHAIN].crane_info.binary]),
    )]

crane = rule(
    implementation = _crane_impl,
    doc = "crane, from the toolchain that rules_oci registers.",
    toolchains = [_TOOLCHAIN],
)
