"""The toolchain that hands out crane, as rules_oci 2.3.2 has it."""

CraneInfo = provider(
    doc = "A crane.",
    fields = {"binary": "The program, a file."},
)

def _crane_toolchain_impl(ctx):
    return [platform_common.ToolchainInfo(crane_info = CraneInfo(binary = ctx.file.crane))]

crane_toolchain = rule(
    implementation = _crane_toolchain_impl,
    doc = "Names the crane of the toolchain type //oci:crane_toolchain_type.",
    attrs = {
        "crane": attr.label(
            allow_single_file = True,
            mandatory = True,
            doc = "The program.",
        ),
    },
)
