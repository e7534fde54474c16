"""What a BUILD file needs to make images, besides rules_oci."""

load("//rules/private:layer.bzl", _layer = "layer")
load("//rules/private:platform_image.bzl", _platform_image = "platform_image")
load("//rules/private:providers.bzl", _LayerInfo = "LayerInfo")
load("//rules/private:tree.bzl", _tree = "tree")

LayerInfo = _LayerInfo
layer = _layer
platform_image = _platform_image
tree = _tree
