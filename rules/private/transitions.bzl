"""The platform that a target is built for, whatever the command line says."""

load(":recipe.bzl", "PLATFORMS")

_OPTION = "//command_line_option:platforms"

def _image_platform_impl(settings, _attr):
    # An image is for linux/amd64 wherever it is built, unless one of these is asked for.
    requested = settings[_OPTION]
    known = PLATFORMS.values()
    chosen = requested[0] if len(requested) == 1 and requested[0] in known else known[0]
    return {_OPTION: [str(chosen)]}

# For rules whose targets go into images: one of the images' platforms, never the machine's.
image_platform = transition(
    implementation = _image_platform_impl,
    inputs = [_OPTION],
    outputs = [_OPTION],
)

def _named_platform_impl(_settings, attr):
    return {_OPTION: [str(attr.platform)]}

# For attributes of rules that say their platform in an attribute `platform`.
named_platform = transition(
    implementation = _named_platform_impl,
    inputs = [],
    outputs = [_OPTION],
)

# Bazel wants this attribute of every rule that has a transition.
TRANSITION_ATTRS = {
    "_allowlist_function_transition": attr.label(
        default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
    ),
}
