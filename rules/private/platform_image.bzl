"""An image for one platform, whatever platform is built for otherwise."""

def _platform_transition_impl(_settings, attr):
    return {"//command_line_option:platforms": [str(attr.platform)]}

_platform_transition = transition(
    implementation = _platform_transition_impl,
    inputs = [],
    outputs = ["//command_line_option:platforms"],
)

def _platform_image_impl(ctx):
    image = ctx.attr.image[0][DefaultInfo]
    return [DefaultInfo(files = image.files, runfiles = image.default_runfiles)]

platform_image = rule(
    implementation = _platform_image_impl,
    doc = """The image for one platform.

An index takes one of these for each platform. The attribute `platforms` of oci_image_index will not
do: Bazel orders what it makes of that by hashes over all its options, and so would the index be.
""",
    attrs = {
        "image": attr.label(mandatory = True, cfg = _platform_transition, doc = "an oci_image"),
        "platform": attr.label(mandatory = True, doc = "a platform, such as //image:linux_arm64"),
        "_allowlist_function_transition": attr.label(default = "@bazel_tools//tools/allowlists/function_transition_allowlist"),
    },
)
