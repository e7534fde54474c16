"""The `pip` module extension."""

load("//wheels:repositories.bzl", "hub", "hubs")

pip = module_extension(
    implementation = hubs,
    tag_classes = {"parse": hub},
)
