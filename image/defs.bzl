"""What a BUILD file needs to make images, besides rules_oci."""

load("//image:platform_image.bzl", _platform_image = "platform_image")
load("//image/layers:layer.bzl", _layer = "layer")
load("//image/layers:tree.bzl", _tree = "tree")

layer = _layer
platform_image = _platform_image
tree = _tree
