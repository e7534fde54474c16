"""An image for one platform, whatever platform is built for otherwise."""

load(":transitions.bzl", "TRANSITION_ATTRS", "named_platform")

def _platform_image_impl(ctx):
    image = ctx.attr.image[0][DefaultInfo]
    return [DefaultInfo(files = image.files, runfiles = image.default_runfiles)]

platform_image = rule(
    implementation = _platform_image_impl,
    doc = """The image for one platform.

An index takes one of these for each platform. The attribute `platforms` of oci_image_index will not
do: Bazel orders what it makes of that by hashes over all its options, and so would the index be.
""",
    attrs = TRANSITION_ATTRS | {
        "image": attr.label(mandatory = True, cfg = named_platform, doc = "an oci_image"),
        "platform": attr.label(mandatory = True, doc = "a platform, such as //image:linux_arm64"),
    },
)
