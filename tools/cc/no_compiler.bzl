"""The configuration of a C++ toolchain that has no compiler."""

load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/toolchains:cc_toolchain_config_info.bzl", "CcToolchainConfigInfo")

def _no_compiler(ctx):
    return cc_common.create_cc_toolchain_config_info(
        ctx = ctx,
        compiler = "none",
        target_cpu = "none",
        target_libc = "none",
        target_system_name = "none",
        toolchain_identifier = "none",
    )

no_compiler = rule(
    implementation = _no_compiler,
    doc = "Satisfies rules that ask for a C++ toolchain and never run it.",
    provides = [CcToolchainConfigInfo],
)
